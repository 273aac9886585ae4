from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from extracting import extract
from wordfreq import zipf_frequency

from fornix.errors import FornixError
from fornix.features import words
from fornix.study.features.words import WordFeatures


def section(**settings):
    return WordFeatures(kind="words", dataset="d", **settings)


def stimuli(*texts, modality="word", **columns):
    table = pd.DataFrame({"stimulus": [f"s{i}" for i in range(len(texts))], "modality": modality})
    return table.assign(**({"path": None, "text": texts, "digest": "x"} | columns))


def test_rate_length_and_frequency_of_words():
    notes = []
    found = extract(words, section(), stimuli("Alice", "was,", "don't"), notes=notes)
    assert found["rate"][:, 0].tolist() == [1, 1, 1]
    assert found["length"][:, 0].tolist() == [5, 3, 4]
    expected = [zipf_frequency(word, "en") for word in ("Alice", "was", "don't")]
    np.testing.assert_allclose(found["frequency"][:, 0], expected, rtol=1e-6)
    assert expected[1] > expected[0]
    assert "phonemes" not in found
    assert any("'phonemes' is left out" in note for note in notes)


def test_a_text_has_its_number_of_words_and_their_means():
    found = extract(words, section(), stimuli("The cat sat.", "...", modality="text"))
    assert found["rate"][:, 0].tolist() == [3, 0]
    assert found["length"][:, 0].tolist() == [3, 0]
    mean = np.mean([zipf_frequency(word, "en") for word in ("the", "cat", "sat")])
    assert found["frequency"][0, 0] == pytest.approx(mean)


def test_phonemes_are_counted_all_together_or_each():
    table = stimuli("cat", "tack", "?", phonemes=["K AE T", "T AE K K", None])
    assert extract(words, section(), table)["phonemes"][:, 0].tolist() == [3, 4, 0]
    each = section(onehot=True)
    assert words.labels(each, table)["phonemes"] == ["AE", "K", "T"]
    found = extract(words, each, table)["phonemes"]
    assert found.tolist() == [[1, 1, 1], [1, 2, 1], [0, 0, 0]]


def test_frequency_may_come_from_a_column_and_layers_be_chosen():
    table = stimuli("a", "b", zipf=[3.5, np.nan])
    chosen = section(frequency="zipf", layers=["freq*"])
    found = extract(words, chosen, table)
    assert list(found) == ["frequency"]
    assert found["frequency"][:, 0].tolist() == [3.5, 0]
    with pytest.raises(FornixError, match="no column 'zipff'") as caught:
        extract(words, section(frequency="zipff"), table)
    assert "zipf" in str(caught.value.mend)


def test_another_language_and_unknown_words():
    notes = []
    found = extract(words, section(language="de"), stimuli("Haus", "xqzvw"), notes=notes)
    assert found["frequency"][0, 0] == pytest.approx(zipf_frequency("Haus", "de"))
    assert found["frequency"][1, 0] == 0
    assert any("1 words have no frequency" in note and "xqzvw" in note for note in notes)
    with pytest.raises(FornixError, match="language 'xx'"):
        extract(words, section(language="xx"), stimuli("a"))


def test_pictures_are_no_words():
    with pytest.raises(FornixError, match="2 of 2 stimuli are image") as caught:
        extract(words, section(), stimuli("a", "b", modality="image"))
    assert caught.value.mend


def test_equal_words_have_equal_digests_wherever_they_are():
    first = words.table(section(), stimuli("the", "cat", "the", digest=["1", "2", "3"]), None)
    assert first["digest"][0] == first["digest"][2] != first["digest"][1]


def test_blocks_come_to_the_same():
    table = stimuli(*"abcdefgh")
    whole, cut = extract(words, section(), table), extract(words, section(), table, cuts=(3, 5))
    for name in whole:
        np.testing.assert_array_equal(whole[name], cut[name])
