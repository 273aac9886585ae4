"""The page says what a reader looks for, needs nothing else, and trusts no text from data."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest

from fornix.report.material import Material
from fornix.report.page import make, render

EVIL = "<script>alert(1)</script>"


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self):
        super().__init__()
        self.tags, self.sources, self.alts, self.ids, self.text = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.sources += [found[key] for key in ("src", "href") if found.get(key)]
        self.ids += [found["id"]] if "id" in found else []
        if tag == "img":
            self.alts.append(found.get("alt", ""))

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def html(inputs, study_of):
    return render(Material(study_of(), inputs))


@pytest.fixture(scope="module")
def page(html):
    reader = Reader()
    reader.feed(html)
    return reader


def test_no_text_from_data_becomes_markup(html, page):
    assert "script" not in page.tags
    assert EVIL not in html
    assert EVIL in " ".join(page.text)
    pictures = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", html)
    assert pictures
    assert not any(b"<script" in base64.b64decode(one) for one in pictures)


def test_nothing_is_loaded_from_elsewhere(page):
    outside = [one for one in page.sources if not one.startswith(("data:", "#", "figures/"))]
    assert outside == ["https://doi.org/10.1/x"]
    assert "link" not in page.tags


def test_numbers_come_first_then_pictures_then_methods(page):
    sections = ["claims", "results", "methods", "data", "graph", "provenance"]
    assert [one for one in page.ids if one in sections] == sections
    for inside in (one[1:] for one in page.sources if one.startswith("#")):
        assert inside in page.ids


def test_verdicts_come_with_their_numbers(html, page):
    text = " ".join(page.text)
    for verdict in ("supported", "not supported", "not testable here"):
        assert f"</b> {verdict}</span>" in html
    assert re.search(r"1\s+of 3", text)
    assert "mean 0." in text


def test_every_figure_has_words_for_those_who_cannot_see_it(page):
    assert len(page.alts) >= 7
    assert all(page.alts)


def test_a_control_has_no_section_of_its_own(page):
    assert "fit-encoding" in page.ids
    assert "fit-shuffled" not in page.ids
    assert "shuffled control, all layers" in page.text


def test_exclusions_are_counted(page):
    text = " ".join(" ".join(page.text).split())
    assert "What was left out." in text
    assert re.search(r"voxel\s+3\s+constant", text)


def test_a_missing_ceiling_is_a_dash(page):
    assert "\u2013" in page.text


def test_a_missing_ceiling_is_explained(page):
    assert "\u2013 under ceiling: decoding has no noise ceiling." in page.text


def test_warnings_of_the_checks_are_shown(html):
    assert html.index("warning</b>") < html.index(">note</b>")
    assert "saw &lt;script&gt;" in html


def test_a_browser_is_told_to_run_and_load_nothing(html):
    assert "default-src 'none'" in html


def test_every_figure_is_a_file_too(html, page, inputs, study_of):
    files = make(Material(study_of(), inputs)).files
    links = [one for one in page.sources if one.startswith("figures/")]
    assert sorted(links) == sorted(files)
    assert len(files) == len(page.alts)
    embedded = re.findall(r"data:image/[a-z+]+;base64,([^\"]+)", html)
    assert [base64.b64decode(one) for one in embedded] == [files[name] for name in links]
    assert all(re.fullmatch(r"figures/[A-Za-z0-9_-]+\.(svg|png)", name) for name in files)


def test_figures_can_be_left_out(inputs, study_of):
    html = render(Material(study_of(report={"figures": False, "notes": "Read me."}), inputs))
    assert "data:image" not in html
    assert "Read me." in html


def test_the_page_is_small_enough_to_send(html):
    assert len(html) < 5_000_000


def test_figures_are_the_same_bytes_every_time(html, inputs, study_of):
    again = render(Material(study_of(), inputs))
    pictures = re.compile(r"data:image/[^\"]+")
    assert pictures.findall(again) == pictures.findall(html)
