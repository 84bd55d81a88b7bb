"""Workbooks and total rows: the numbers are those of the frame, and what does not add up is not added."""

from __future__ import annotations

import re
import sys
from datetime import datetime

import openpyxl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from vapi_frames.errors import MissingExtraError, QueryError

pytestmark = [
    pytest.mark.extra("local"),
    *(pytest.mark.filterwarnings(f"ignore::vapi_frames.errors.{name}") for name in ("QueryWarning", "RecordsWarning")),
]
BACKENDS = [None, "numpy_nullable", "pyarrow"]


def ask(**options):
    """Return cost, mean duration and calls by type and day, of a range that ends inside a day."""
    query = vf.demo().call().sum("cost").avg("duration").count().by("type").step("day").tz("America/New_York")
    return query.between("2026-11-10", "2026-11-16T12:00").fetch(**options)


def read(path, sheet="Result"):
    """Return the rows of a sheet, the header first, as openpyxl reads them back."""
    return [[cell.value for cell in row] for row in openpyxl.load_workbook(path)[sheet].iter_rows()]


class TestWorkbook:
    """df.vapi.to_excel() and vf.to_excel()."""

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_a_reader_gets_the_numbers_back(self, backend, tmp_path):
        """Each number bit for bit, each date on its day, missing as empty."""
        df = ask(dtype_backend=backend).vapi.fill_gaps()
        df.vapi.to_excel(tmp_path / "a.xlsx")
        header, *rows = read(tmp_path / "a.xlsx")
        assert header == [
            "date (America/New_York)", "partial", "type", "sumCost (USD)", "avgDuration (min)", "countId (calls)",
        ]  # fmt: skip
        assert len(rows) == len(df)
        for row, ((at, kind), values) in zip(rows, df.iterrows(), strict=True):
            assert row[0] == at.to_pydatetime().replace(tzinfo=None)
            assert row[2] == kind
            assert row[3:] == [None if pd.isna(value) else float(value) for value in values]

    @given(
        costs=st.lists(st.none() | st.floats(0, 1e9), min_size=1, max_size=5),
        names=st.lists(st.text(max_size=12), min_size=5, max_size=5),
    )
    @examples(6)
    def test_any_number_and_any_text_comes_back(self, costs, names, tmp_path_factory):
        """No text is a formula, and no number is rounded."""
        path = tmp_path_factory.mktemp("book") / "a.xlsx"
        calls = pd.DataFrame({
            "id": [str(at) for at in range(len(costs))], "createdAt": ["2026-10-01T12:00:00Z"] * len(costs),
            "cost": costs, "endedReason": names[: len(costs)],
        })  # fmt: skip
        df = vf.local(calls).call().sum("cost").by("endedReason").during("2026-10").fetch()
        df.vapi.to_excel(path)
        book = openpyxl.load_workbook(path)
        cells = list(book["Result"].iter_rows(min_row=2))
        assert all(cell.data_type != "f" for sheet in book for row in sheet.iter_rows() for cell in row)
        written = [cell[1].value for cell in cells]
        assert written == [None if pd.isna(value) else value for value in df["sumCost"]]
        expected = df.vapi.for_excel().iloc[:, 0]
        unescape = re.compile("_x([0-9A-Fa-f]{4})_")
        shown = [unescape.sub(lambda one: chr(int(one[1], 16)), str(cell[0].value)) for cell in cells]
        assert shown == [unescape.sub(lambda one: chr(int(one[1], 16)), str(text)) for text in expected.fillna("None")]

    def test_a_formula_is_text(self, tmp_path):
        """In a cell, in a header, and on the sheet About."""
        calls = pd.DataFrame({
            "id": ["a", "b"], "createdAt": ["2026-10-01T12:00:00Z"] * 2, "endedReason": ["=1+1", "#N/A"],
        })  # fmt: skip
        df = vf.local(calls).call().agg(**{"=cmd": ("id", "count")}).by("endedReason").during("2026-10").fetch()
        df.vapi.to_excel(tmp_path / "a.xlsx")
        book = openpyxl.load_workbook(tmp_path / "a.xlsx")
        assert {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row} <= {"s", "n"}
        assert book["Result"]["A2"].value in ("#N/A", "'=1+1")
        assert book["Result"]["B1"].value == "'=cmd (calls)"

    def test_units_format_the_numbers(self, tmp_path):
        """Dollars, shares, per cent, calls; the value below is the full one."""
        df = ask().vapi.share("cost")
        df.vapi.to_excel(tmp_path / "a.xlsx")
        sheet = openpyxl.load_workbook(tmp_path / "a.xlsx")["Result"]
        assert [cell.number_format for cell in sheet[2]] == [
            "yyyy-mm-dd", "General", "General", '"$"#,##0.00;-"$"#,##0.00', "#,##0.00", "#,##0", "0.0%",
        ]  # fmt: skip
        assert sheet.freeze_panes == "D2"
        assert all(cell.font.bold for cell in sheet[1])
        assert sheet.column_dimensions["A"].width >= len("date (America/New_York)")

    def test_about_says_what_the_numbers_are(self, tmp_path):
        """Query, range, zone, units and notes, for each sheet."""
        df, week = ask(), vf.demo().call().count().during("2026-10").fetch()
        vf.to_excel(tmp_path / "a.xlsx", {"Days": df, "October": week})
        book = openpyxl.load_workbook(tmp_path / "a.xlsx")
        assert book.sheetnames == ["Days", "October", "About"]
        facts = {(row[0], row[1]): row[2] for row in read(tmp_path / "a.xlsx", "About")[1:]}
        assert eval(facts["Days", "query"], {"vq": vf.vq}) == df.vapi.query
        assert facts["Days", "from"] == "2026-11-10 00:00"
        assert facts["Days", "until"].startswith("2026-11-16 12:00")
        assert facts["Days", "time zone"] == "America/New_York"
        assert facts["Days", "unit of sumCost"] == "USD"
        assert facts["October", "description"] == week.vapi.describe()

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("", "1 to 31 characters"), ("x" * 32, "1 to 31 characters"), (3, "1 to 31 characters"),
            ("a/b", r"Excel allows no \["), ("'a", "apostrophe"), ("about", "two sheets are named"),
            ("History", "two sheets are named"),
        ],
    )  # fmt: skip
    def test_names_that_excel_refuses_are_refused_in_words(self, name, message, tmp_path):
        """Before a file is written."""
        with pytest.raises(QueryError, match=message):
            vf.to_excel(tmp_path / "a.xlsx", {name: ask()})
        assert not list(tmp_path.iterdir())

    def test_what_is_no_frame_or_no_workbook_is_refused(self, tmp_path):
        """And upper and lower case are one name."""
        df = vf.demo().call().count().during("2026-10").fetch()
        for wrong in ({}, [df], None):
            with pytest.raises(QueryError, match=r"takes a frame, or name of a sheet → frame"):
                vf.to_excel(tmp_path / "a.xlsx", wrong)
        with pytest.raises(QueryError, match="must be a result frame, not 3"):
            vf.to_excel(tmp_path / "a.xlsx", {"a": 3})
        with pytest.raises(QueryError, match="two sheets are named 'DAYS'"):
            vf.to_excel(tmp_path / "a.xlsx", {"Days": df, "DAYS": df})
        with pytest.raises(QueryError, match=r"'a.csv' does not end in .xlsx"):
            df.vapi.to_excel(tmp_path / "a.csv")

    def test_a_file_is_replaced_as_a_whole(self, tmp_path, monkeypatch):
        """One that exists stays as it was when writing fails."""
        path = tmp_path / "a.xlsx"
        path.write_bytes(b"before")
        df = ask()

        def fail(_descriptor):
            raise OSError("full")

        monkeypatch.setattr("os.fsync", fail)
        with pytest.raises(OSError, match="full"):
            df.vapi.to_excel(path)
        assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("a.xlsx", b"before")]

    def test_without_openpyxl_the_install_line_is_given(self, tmp_path, monkeypatch):
        """A missing extra says how to get it."""
        monkeypatch.setitem(sys.modules, "openpyxl", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'vapi-frames\[excel\]'"):
            ask().vapi.to_excel(tmp_path / "a.xlsx")

    def test_a_flat_frame_is_the_same_sheet(self, tmp_path):
        """Its levels stand first, and stay in view."""
        ask().vapi.to_excel(tmp_path / "a.xlsx")
        ask(as_index=False).vapi.to_excel(tmp_path / "b.xlsx")
        assert read(tmp_path / "a.xlsx") == read(tmp_path / "b.xlsx")

    def test_an_hour_that_comes_twice_has_its_offset(self, tmp_path):
        """Excel has no zones."""
        query = vf.demo().call().count().step("hour").tz("America/New_York")
        df = query.between("2026-11-01T01:00", "2026-11-01T03:00").fetch().vapi.fill_gaps()
        df.vapi.to_excel(tmp_path / "a.xlsx")
        assert [row[:2] for row in read(tmp_path / "a.xlsx")[1:]] == [
            [datetime(2026, 11, 1, 1), "-04:00"], [datetime(2026, 11, 1, 1), "-05:00"], [datetime(2026, 11, 1, 2), "-05:00"],
        ]  # fmt: skip


class TestTotal:
    """df.vapi.style(total=True)."""

    def rows(self, df, **options):
        """Return the rows of the table as texts, and the caption."""
        text = df.vapi.style(**options).to_html()
        body = re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)
        cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in body]
        return cells, re.search(r"<caption>(.*?)</caption>", text, re.DOTALL)[1]

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_what_adds_up_is_added(self, backend):
        """And a mean is empty, and named above."""
        df = ask(dtype_backend=backend)
        cells, caption = self.rows(df, total=True)
        assert cells[-1] == ["total", "", f"${df['sumCost'].sum():,.2f}", "", f"{df['countId'].sum():,}"]
        assert caption.endswith("No total of avgDuration: it does not add up over the rows.")
        assert len(cells) == len(self.rows(df)[0]) + 1

    @given(
        measures=st.lists(st.sampled_from(["sum", "avg", "min", "max", "count"]), min_size=1, unique=True),
        groups=st.sampled_from([(), ("type",), ("type", "status")]),
        step=st.sampled_from([None, "week"]),
    )
    @examples(12)
    def test_a_total_is_the_measure_of_all_calls(self, measures, groups, step):
        """It is what a query without levels says; and what is not, has no total."""
        query = vf.demo().call().between("2026-10-05", "2026-10-26")
        for one in measures:
            query = query.count() if one == "count" else getattr(query, one)("cost")
        whole = query.fetch()
        df = (query.by(*groups).step(step) if step else query.by(*groups)).fetch()
        if not groups and not step:
            return
        cells, caption = self.rows(df, total=True)
        shown = cells[-1][len(df.index.names) :]
        for name, text in zip(df.columns, shown, strict=True):
            adds_up = name in ("sumCost", "countId")
            assert bool(text) == adds_up
            assert (f" {name}" in caption.partition("No total of")[2]) == (not adds_up)
            if adds_up:
                assert float(text.strip("$").replace(",", "")) == pytest.approx(whole[name].iloc[0], abs=0.005)

    def test_the_other_period_adds_up_and_a_change_in_per_cent_does_not(self):
        """Of a comparison."""
        df = vf.demo().call().sum("cost").by("type").between("2026-11-09", "2026-11-16").compare("previous").fetch()
        cells, caption = self.rows(df, total=True)
        delta = df["sumCostDelta"].sum()
        assert cells[-1][-2:] == [f"{'-' if delta < 0 else ''}${abs(delta):,.2f}", ""]
        assert caption.endswith("No total of sumCostPercent: it does not add up over the rows.")

    def test_one_row_is_its_own_total(self):
        """And total is a flag."""
        df = vf.demo().call().sum("cost").during("2026-10").fetch()
        assert self.rows(df, total=True) == self.rows(df)
        with pytest.raises(QueryError, match="total is True or False, not 'yes'"):
            df.vapi.style(total="yes")

    def test_it_is_a_page_of_its_own(self):
        """Which says that it is UTF-8; in a notebook, and where one asks for it, it is the table alone."""
        styler = ask().vapi.style("Zürich")
        page = styler.to_html()
        assert page.startswith("<!DOCTYPE html>")
        assert 'charset="utf-8"' in page
        for part in (styler._repr_html_(), styler.to_html(doctype_html=False)):
            assert "<!DOCTYPE" not in part
            assert "<style" in part
