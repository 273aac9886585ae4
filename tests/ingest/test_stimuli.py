import av
import numpy as np
import pytest
import soundfile
from indexing import complaint, index

from builders import eeg_dataset, fmri_dataset, write_image, write_tsv
from fornix.study.datasets import StimulusSource

RUN = "sub-01/func/sub-01_task-look_run-01"


def shown(tmp_path, names, **settings):
    """Return a dataset in which one run shows some files."""
    root = fmri_dataset(tmp_path / "data", subjects=["01"], runs=["01"])
    count = len(names)
    columns = {
        "onset": [2 * i for i in range(count)],
        "duration": [1] * count,
        "trial_type": ["x"] * count,
        "stim_file": names,
    }
    write_tsv(root / f"{RUN}_events.tsv", columns)
    return root


def test_prefixed_and_plain_names_are_one_stimulus(tmp_path):
    root = shown(tmp_path, ["image0.png", "stimuli/image0.png", "n/a"])
    found = index(root)
    assert found.events["stimulus"].tolist() == ["image0.png", "image0.png", None]
    assert found.stimuli["path"].tolist() == ["stimuli/image0.png"]


def test_equal_files_are_two_ids_of_one_digest(tmp_path):
    root = shown(tmp_path, ["image0.png", "sub/copy.png"])
    (root / "stimuli/sub").mkdir()
    (root / "stimuli/sub/copy.png").write_bytes((root / "stimuli/image0.png").read_bytes())
    stimuli = index(root, digests=True).stimuli
    assert stimuli["stimulus"].tolist() == ["image0.png", "sub/copy.png"]
    assert stimuli["digest"].nunique() == 1


def write_clip(path, n_frames):
    """Write a clip of black frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(n_frames):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        if n_frames:
            container.mux(stream.encode())
        else:
            container.start_encoding()


def test_modalities_follow_the_extension(tmp_path):
    names = ["a.jpg", "b.wav", "c.mp4", "d.txt", "e.webp"]
    root = shown(tmp_path, names)
    folder = root / "stimuli"
    write_image(folder / "a.jpg")
    write_image(folder / "e.webp")
    soundfile.write(folder / "b.wav", np.zeros(100), 8000)
    write_clip(folder / "c.mp4", n_frames=2)
    (folder / "d.txt").write_text("Down the rabbit hole\n", encoding="utf-8")
    stimuli = index(root, digests=True).stimuli
    assert stimuli["modality"].tolist() == ["image", "audio", "video", "text", "image"]
    assert stimuli["text"].tolist()[3] == "Down the rabbit hole"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("image9.png", "isn't there"),
        ("nowhere/image0.png", "isn't there"),
        ("/etc/hostname", "points outside"),
        ("../task-look_bold.json", "points outside"),
        ("faces\\image0.png", "points outside"),
        ("link.png", "out of the dataset"),
        ("dangling.png", "isn't there"),
        ("notes.mat", "of no kind that is known"),
        ("broken.png", "can't be read as image"),
        ("cut.png", "can't be read as image"),
        ("empty.png", "can't be read as image"),
        ("empty.wav", "can't be read as audio"),
        ("empty.mp4", "can't be read as video: the file is empty"),
        ("sound.mkv", "it has no video stream"),
        ("picture.m4a", "it has no audio stream"),
        ("cut.mp4", "can't be read as video"),
        ("noise.wav", "can't be read as audio"),
        ("silent.wav", "it has no samples"),
        ("noise.mp4", "can't be read as video"),
        ("frameless.avi", "can't be read as video"),
    ],
)
def test_bad_file_names_its_line(tmp_path, name, says):
    root = shown(tmp_path, ["image0.png", name])
    folder = root / "stimuli"
    outside = write_image(tmp_path / "outside.png")
    (folder / "link.png").symlink_to(outside)
    (folder / "dangling.png").symlink_to(tmp_path / "nothing.png")
    (folder / "notes.mat").write_bytes(b"x")
    (folder / "broken.png").write_bytes(b"not an image")
    (folder / "cut.png").write_bytes((folder / "image1.png").read_bytes()[:200])
    for empty in ("empty.png", "empty.wav", "empty.mp4"):
        (folder / empty).touch()
    soundfile.write(folder / "sound.wav", np.zeros(800), 8000)
    (folder / "sound.wav").rename(folder / "sound.mkv")
    write_clip(folder / "whole.mp4", n_frames=20)
    (folder / "cut.mp4").write_bytes((folder / "whole.mp4").read_bytes()[:-400])
    (folder / "whole.mp4").rename(folder / "picture.m4a")
    soundfile.write(folder / "silent.wav", np.zeros(0), 8000)
    for noise in ("noise.wav", "noise.mp4"):
        (folder / noise).write_bytes(b"no sound and no picture")
    write_clip(folder / "frameless.avi", n_frames=0)
    error = complaint(root)
    assert says in error.problem
    assert error.where.endswith("run-01_events.tsv:3 (stim_file)")


def test_near_name_is_suggested(tmp_path):
    assert "did you mean 'image0.png'" in complaint(shown(tmp_path, ["imge0.png"])).mend


def test_link_inside_the_dataset_is_fine(tmp_path):
    root = shown(tmp_path, ["link.png"])
    (root / "stimuli/link.png").symlink_to("image0.png")
    assert len(index(root).stimuli) == 1


def test_cut_jpeg_is_told_when_digested(tmp_path):
    root = shown(tmp_path, ["a.jpg"])
    path = write_image(root / "stimuli/a.jpg")
    path.write_bytes(path.read_bytes()[:-150])
    assert "image" in complaint(root, digests=True).problem


def test_table_adds_its_columns(tmp_path):
    root = shown(tmp_path, ["image0.png", "image1.png"])
    columns = {
        "stim_file": ["image1.png", "image0.png", "image2.png"],
        "category": ["house", "face", "cat"],
        "size": [2, "n/a", 1],
        "text": ["p", "q", "r"],
    }
    write_tsv(root / "stimuli/stimuli.tsv", columns)
    found = index(root)
    assert found.stimuli["stimulus"].tolist() == ["image0.png", "image1.png"]
    assert found.stimuli["category"].tolist() == ["face", "house"]
    assert found.stimuli["size"].isna().tolist() == [True, False]
    assert found.stimuli["text_column"].tolist() == ["q", "p"]
    assert found.checks == [
        {
            "level": "note",
            "where": "stimuli/stimuli.tsv",
            "text": "1 of its 3 stimuli are in no event",
        }
    ]


def test_stimuli_that_the_table_lacks_are_a_warning(tmp_path):
    root = shown(tmp_path, ["image0.png", "image1.png"])
    write_tsv(root / "stimuli.tsv", {"stimulus_id": ["image0.png"], "size": [1]})
    found = index(root)
    assert found.checks[0]["level"] == "warning"
    assert "image1.png" in found.checks[0]["text"]
    assert found.stimuli["size"].isna().tolist() == [False, True]


def test_doubled_row_of_the_table_is_told(tmp_path):
    root = shown(tmp_path, ["image0.png"])
    columns = {"stim_file": ["image0.png", "stimuli/image0.png"], "size": [1, 2]}
    write_tsv(root / "stimuli.tsv", columns)
    error = complaint(root)
    assert "named twice" in error.problem
    assert error.where.endswith("stimuli.tsv:3 (stim_file)")


def test_table_without_names_is_told(tmp_path):
    root = shown(tmp_path, ["image0.png"])
    write_tsv(root / "stimuli.tsv", {"name": ["image0.png"]})
    assert "stim_file or stimulus_id" in complaint(root).problem


def test_texts_are_their_own_ids_unless_long(tmp_path):
    root = eeg_dataset(tmp_path / "data", runs=["01"])
    long = "and so it goes on " * 10
    columns = {"onset": [1, 2, 3], "duration": [0] * 3, "word": ["Alice", long.strip(), "Alice"]}
    write_tsv(root / "sub-01/eeg/sub-01_task-look_run-01_events.tsv", columns)
    source = StimulusSource(column="word", modality="text")
    found = index(root, stimuli=source)
    by_text = dict(zip(found.stimuli["text"], found.stimuli["stimulus"], strict=True))
    assert by_text["Alice"] == "Alice"
    assert len(by_text[long.strip()]) == 16
    assert found.events["stimulus"].tolist()[0] == found.events["stimulus"].tolist()[2] == "Alice"
    assert set(found.stimuli["modality"]) == {"text"}


def test_labels_of_another_column(tmp_path):
    root = eeg_dataset(tmp_path / "data", runs=["01"])
    columns = {"onset": [1, 2, 3], "duration": [0] * 3, "value": [7, 8, 7]}
    write_tsv(root / "sub-01/eeg/sub-01_task-look_run-01_events.tsv", columns)
    found = index(root, stimuli=StimulusSource(column="value"))
    assert found.events["stimulus"].tolist() == ["7", "8", "7"]
    assert found.stimuli["value"].tolist() == ["7", "8"]
    assert set(found.stimuli["modality"]) == {"label"}


def test_missing_column_is_told(tmp_path):
    root = eeg_dataset(tmp_path / "data")
    error = complaint(root, stimuli=StimulusSource(column="trial_typ"))
    assert "did you mean 'trial_type'" in error.mend
    error = complaint(root, stimuli=StimulusSource(modality="file"))
    assert "'stim_file'" in error.problem
