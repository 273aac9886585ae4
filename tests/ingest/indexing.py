"""Index a dataset in one word, and catch the one error of a bad one."""

import pytest

from fornix.errors import FornixError
from fornix.ingest.index import build_index
from fornix.study.datasets import LocalDataset


def section(root, **settings):
    return LocalDataset(source="local", path=str(root), **settings)


def index(root, *, digests=False, **settings):
    return build_index(section(root, **settings), root, digests=digests)


def complaint(root, **settings):
    with pytest.raises(FornixError) as caught:
        index(root, **settings)
    assert caught.value.where
    assert caught.value.mend
    return caught.value
