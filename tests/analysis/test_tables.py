"""Tables that are read: a Styler for a page, and a frame that a spreadsheet holds without a surprise."""

from __future__ import annotations

import functools
import re
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from vapi_frames.errors import MissingExtraError, ProvenanceError, QueryError

pytestmark = [
    pytest.mark.extra("local"),
    *(pytest.mark.filterwarnings(f"ignore::vapi_frames.errors.{name}") for name in ("QueryWarning", "RecordsWarning")),
]
BACKENDS = [None, "numpy_nullable", "pyarrow"]
CELL = 32_767
DASH = "\N{EN DASH}"


class Table(HTMLParser):
    """The texts of a table's cells, row by row, and its caption."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.caption, self.tags = [], "", set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.at = tag
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.at = ""

    def handle_data(self, data):
        if getattr(self, "at", "") in ("td", "th"):
            self.rows[-1][-1] += data
        elif getattr(self, "at", "") == "caption":
            self.caption += data


@functools.cache
def october():
    """Return the calls of October in one row."""
    return vf.demo().call().count().during("2026-10").fetch()


def styled(frame, **options):
    """Return the table that a reader sees."""
    return Table(frame.vapi.style(**options).to_html())


def calls(**columns):
    """Return call records of one hour, of which only *columns* differ."""
    size = max((len(values) for values in columns.values()), default=1)
    plain = {
        "id": [str(at) for at in range(size)],
        "createdAt": [f"2026-10-01T12:{at % 60:02}:00Z" for at in range(size)],
        "cost": [0.25] * size,
        "type": ["webCall"] * size,
    }
    return vf.local(pd.DataFrame({**plain, **columns}))


def sheet(frame, path):
    """Write *frame* as its user does, and return the cells as openpyxl reads them back."""
    frame.to_excel(path, index=False)
    book = openpyxl.load_workbook(path)
    return book.active


class TestStyle:
    """df.vapi.style()."""

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_numbers_are_written_by_their_unit(self, backend):
        """Dollars, minutes, calls, per cent: each as a reader expects it, with the unit in the header."""
        query = vf.demo().call().sum("cost").avg("duration").count().by("type").during("2026-10")
        df = query.fetch(dtype_backend=backend).vapi.share("cost").vapi.per_call()
        table = styled(df)
        assert [text for text in table.rows[0] if text.strip()] == [
            "sumCost (USD)", "avgDuration (min)", "countId (calls)", "sumCostShare (share)", "sumCostPerCall (USD/call)",
        ]  # fmt: skip
        assert table.rows[-1] == ["webCall", "$413.38", "1.44", "2,693", "19.3%", "$0.1535"]
        assert table.caption == df.vapi.describe()

    def test_a_change_has_its_sign(self):
        """Less is a minus before the dollar, and a change in per cent says so."""
        df = vf.demo().call().sum("cost").by("type").between("2026-11-09", "2026-11-16").compare("previous").fetch()
        assert styled(df).rows[-1] == ["webCall", "$83.86", "$93.37", "-$9.51", "-10.2%"]

    def test_zone_and_partial_bucket_are_said_in_words(self):
        """A date has its zone in the header; that a bucket is partial is text, and nothing is colored."""
        query = vf.demo().call().count().by("type").step("day").tz("America/New_York")
        df = query.between("2026-11-14", "2026-11-17").fetch()
        text = df.vapi.style().to_html()
        table = Table(text)
        assert "date (America/New_York)" in table.rows[1]
        dates = [row[0] for row in table.rows if row[0].startswith("20")]
        assert dates == ["2026-11-14", "2026-11-15 (partial)"]
        assert not re.search(r"color|background", text)

    def test_an_hour_that_comes_twice_has_its_offset(self):
        """Below a day the offset stands with the time."""
        query = vf.demo().call().count().step("hour").tz("America/New_York")
        table = styled(query.between("2026-11-01T01:00", "2026-11-01T02:00").fetch().vapi.fill_gaps())
        assert [row[0] for row in table.rows[-2:]] == ["2026-11-01 01:00-04:00", "2026-11-01 01:00-05:00"]

    def test_what_is_missing_is_a_dash_and_a_word(self):
        """A missing group, an empty one and a missing number are three things."""
        vq = calls(assistantId=["a", "", None], startedAt=[None] * 3, endedAt=[None] * 3)
        table = styled(vq.call().avg("duration").count().by("assistantId").during("2026-10").fetch())
        assert table.rows[-3:] == [['""', DASH, "1"], ["a", DASH, "1"], ["(none)", DASH, "1"]]
        both = vq.call().avg("duration").by("assistantId", "type").during("2026-10").fetch()
        assert [row[-1] for row in styled(both).rows[-3:]] == [DASH] * 3

    def test_text_is_text(self):
        """A group, a variable's name, an alias and a caption that hold markup are shown as they are."""
        evil = "<script>alert(1)</script>"
        vq = calls(**{"assistantId": [evil], f"variableValues.{evil}": [evil]})
        query = vq.call().count(alias=evil).by("assistantId").by_variable(evil).during("2026-10")
        df = query.where(assistantId=evil).fetch().assign(**{"my <b>": [evil]})
        for caption in (None, evil):
            table = styled(df, caption=caption)
            assert "script" not in table.tags
            assert "b" not in table.tags
            assert evil in table.caption
            assert sum(evil in cell for row in table.rows for cell in row) >= 4

    def test_one_row_has_no_index(self):
        """A frame without step and group is its figures alone."""
        table = styled(vf.demo().call().sum("cost").count().during("2026-10").fetch())
        assert table.rows == [["sumCost (USD)", "countId (calls)"], ["$2,142.22", "13,495"]]

    def test_other_shapes_are_written_too(self):
        """Nothing, groups as columns, a mark, a history, categories."""
        vq = vf.demo()
        daily = vq.call().count().by("type", "status").step("day").during("2026-10-05")
        assert len(styled(vq.call().count().by("type").during("2026-01").fetch()).rows) >= 1
        wide = styled(daily.fetch().vapi.wide())
        assert "webCall · ended" in wide.rows[0]
        assert "filled" in " ".join(styled(daily.fetch().vapi.fill_gaps(mark=True)).rows[0])
        assert (
            styled(vq.subscription().history("concurrency").during("2026-10-05").fetch().head(3)).rows[-1][0][:4]
            == "2026"
        )
        assert styled(daily.fetch(categorical=True)).rows[-1][-1] == styled(daily.fetch()).rows[-1][-1]
        dated = vq.call().count().step("week").between("2026-11-02", "2026-11-09").compare("previous").fetch()
        assert "2026-10-26" in styled(dated).rows[-1]

    def test_a_frame_with_changed_values_is_refused(self):
        """The header would say a unit that is not theirs."""
        df = vf.demo().call().sum("cost").by("type").during("2026-10").fetch()
        with pytest.raises(ProvenanceError, match="not those that were fetched"):
            (df * 100).vapi.style()

    def test_without_jinja2_the_install_line_is_given(self, monkeypatch):
        """A missing extra says how to get it."""
        df = vf.demo().call().count().during("2026-10").fetch()
        monkeypatch.setitem(sys.modules, "jinja2", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'vapi-frames\[style\]'"):
            df.vapi.style()


class TestExcel:
    """df.vapi.for_excel()."""

    @pytest.mark.parametrize("backend", BACKENDS)
    @pytest.mark.parametrize("categorical", [False, True])
    def test_what_is_written_is_read_back(self, tmp_path, backend, categorical):
        """Levels first, one row of headers with unit and zone; each number and date as it was."""
        query = vf.demo().call().sum("cost").avg("duration").count().by("assistantId").step("day").tz("Asia/Kolkata")
        df = query.between("2026-10-04", "2026-10-07").fetch(dtype_backend=backend, categorical=categorical)
        header, *rows = sheet(df.vapi.for_excel(), tmp_path / "a.xlsx").iter_rows(values_only=True)
        assert header == (
            "date (Asia/Kolkata)", "assistantId", "sumCost (USD)", "avgDuration (min)", "countId (calls)",
        )  # fmt: skip
        expected = query.between("2026-10-04", "2026-10-07").fetch().reset_index()
        assert expected["assistantId"].isna().any()
        assert [row[0] for row in rows] == [at.tz_localize(None).to_pydatetime() for at in expected["date"]]
        assert [row[1] for row in rows] == [None if pd.isna(one) else one for one in expected["assistantId"]]
        for place, name in enumerate(["sumCost", "avgDuration", "countId"], start=2):
            found = pd.Series([row[place] for row in rows], dtype="float64")
            np.testing.assert_allclose(found, expected[name], rtol=1e-15)

    def test_an_hour_that_comes_twice_stays_two(self, tmp_path):
        """Beside the wall clock stands the offset; with it each instant can be had again."""
        query = vf.demo().call().count().step("hour").tz("America/New_York")
        df = query.between("2026-11-01", "2026-11-02").fetch().vapi.fill_gaps()
        header, *rows = sheet(df.vapi.for_excel(), tmp_path / "a.xlsx").iter_rows(values_only=True)
        assert header[:2] == ("date (America/New_York)", "date (UTC offset)")
        walls = [row[0] for row in rows]
        assert len(set(walls)) < len(walls)
        again = [datetime.fromisoformat(f"{wall.isoformat()}{offset}").timestamp() for wall, offset, _ in rows]
        assert again == [at.timestamp() for at in df.index]

    def test_the_shape_is_decided_by_the_query(self):
        """The offset is there below a day and in a history, wherever the zone is not UTC, and with no row as well."""
        call = vf.demo().call().count()
        assert list(call.step("hour").tz("Asia/Tokyo").during("2026-01-05").fetch().vapi.for_excel()) == [
            "date (Asia/Tokyo)", "date (UTC offset)", "countId (calls)",
        ]  # fmt: skip
        assert list(call.step("hour").during("2026-10-05").fetch().vapi.for_excel()) == [
            "date (UTC)",
            "countId (calls)",
        ]
        history = vf.demo().subscription().history("concurrency").tz("Asia/Tokyo").during("2026-10-05").fetch()
        assert list(history.vapi.for_excel())[1] == "date (UTC offset)"

    def test_no_text_is_a_formula(self, tmp_path):
        """A group, a variable's name and an alias that begin with = are text, and can be told from what they were."""
        words = [
            "=cmd|' /C calc'!A0",
            "=1+1",
            "'=1+1",
            "{=A1:A2}",
            "+1 415 555 0100",
            "-1",
            "@SUM(A1)",
            "007",
            "x=1",
            "",
        ]
        vq = calls(**{"assistantId": words, "variableValues.=A1": words})
        df = vq.call().count(alias="=2*3").by("assistantId").by_variable("=A1").during("2026-10").fetch()
        cells = sheet(df.vapi.for_excel(), tmp_path / "a.xlsx")
        assert {cell.data_type for row in cells.iter_rows() for cell in row} == {"s", "n"}
        header, *rows = cells.iter_rows(values_only=True)
        assert header == ("assistantId", "'=A1", "'=2*3 (calls)")
        escaped = {word: f"'{word}" if word.lstrip("'").startswith(("=", "{=")) else word or '""' for word in words}
        assert [row[0] for row in rows] == [escaped[word] for word in sorted(words)]
        assert len({row[0] for row in rows}) == len(words)
        assert "'=cmd|' /C calc'!A0" in {row[0] for row in rows}

    @examples(120)
    @given(st.lists(st.sampled_from(["_", "x", "_x", "0041_", "x005F_", "_x00e9_", "_x000D_", "A", "g"]), max_size=8))
    def test_no_text_is_the_code_of_a_character(self, parts):
        """What Excel decodes of a cell is the text, and a text without a code stays as it is."""
        text = "t" + "".join(parts)
        [cell] = october().assign(own=text).vapi.for_excel()["own"]
        assert re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), cell) == text
        assert ("_x005F_" in cell) == bool(re.search("_x[0-9A-Fa-f]{4}_", text))

    def test_a_text_that_looks_like_a_code(self, tmp_path):
        """It is escaped in the file, for groups and headers, too."""
        vq = calls(assistantId=["a_x0041_b", "_x0041_x0042_"])
        df = vq.call().count(alias="_x0041_").by("assistantId").during("2026-10").fetch()
        header, *rows = sheet(df.vapi.for_excel(), tmp_path / "a.xlsx").iter_rows(values_only=True)
        assert header == ("assistantId", "_x005F_x0041_ (calls)")
        assert [row[0] for row in rows] == ["_x005F_x0041_x005F_x0042_", "a_x005F_x0041_b"]

    @pytest.mark.parametrize("number", [10**15 + 1, 1e16, -1e16, 2.0**60, Decimal(10**17)])
    @pytest.mark.parametrize("dtype", ["float64", "Float64", "double[pyarrow]", "Int64", object])
    def test_a_number_of_more_than_fifteen_digits_is_refused(self, number, dtype):
        """Excel would keep fifteen of them, whatever the type of the number is; others are kept."""
        frame = vf.demo().call().count().by("type").during("2026-10").fetch()
        column = pd.Series([number, None, 1], index=frame.index, dtype=object)
        if dtype is not object:
            column = column.map(lambda one: one if one is None else float(one)).astype("Float64").astype(dtype)
        with pytest.raises(QueryError, match=r"'own' has a number of more than fifteen digits, -?1\d*,"):
            frame.assign(own=column).vapi.for_excel()

    def test_other_numbers_are_kept(self):
        """Fractions, infinity and what has fifteen digits."""
        frame = vf.demo().call().count().by("type").during("2026-10").fetch()
        for values in ([1e15, float("inf"), 0.1 + 0.2], [float("nan")] * 3, [10**15, Decimal("Infinity"), Decimal(2)]):
            found = frame.assign(own=values).vapi.for_excel()["own"]
            assert [one for one in found if not pd.isna(one)] == [one for one in values if one == one]
        empty = frame.assign(own=pd.array([None] * 3, dtype="Int64")).vapi.for_excel()
        assert empty["own"].isna().all()

    def test_a_formula_would_be_written_without_it(self, tmp_path):
        """The danger is there: pandas writes a text that begins with = as a formula."""
        df = calls(assistantId=["=1+1"]).call().count().by("assistantId").during("2026-10").fetch()
        assert sheet(df.reset_index(), tmp_path / "a.xlsx")["A2"].data_type == "f"

    def test_letters_that_a_sheet_cannot_hold_are_spelled_out(self, tmp_path):
        """Control characters would stop the writer."""
        df = (
            calls(assistantId=["a\x00b\x1f", "tab\tnew\nline"])
            .call()
            .count()
            .by("assistantId")
            .during("2026-10")
            .fetch()
        )
        rows = list(sheet(df.vapi.for_excel(), tmp_path / "a.xlsx").iter_rows(values_only=True))[1:]
        assert [row[0] for row in rows] == [r"a\x00b\x1f", "tab\tnew\nline"]

    def test_a_text_that_is_too_long_is_refused(self, tmp_path):
        """Excel would cut it; one that just fits is written whole."""
        fits = calls(assistantId=["x" * CELL]).call().count().by("assistantId").during("2026-10").fetch()
        assert len(sheet(fits.vapi.for_excel(), tmp_path / "a.xlsx")["A2"].value) == CELL
        for text in ("x" * (CELL + 1), "💥" * (CELL // 2 + 1), "=" * CELL):
            df = calls(assistantId=[text]).call().count().by("assistantId").during("2026-10").fetch()
            with pytest.raises(QueryError, match="holds 32,767"):
                df.vapi.for_excel()

    def test_too_many_rows_are_refused(self):
        """The header takes one of the rows of a sheet."""
        end = pd.Timestamp("2026-11-01T00:00Z")
        minutes = vf.demo().call().count().step("minute").between(end - pd.Timedelta("1048576min"), end)
        many = minutes.fetch().vapi.fill_gaps()
        with pytest.raises(QueryError, match="1,048,576 rows, and a sheet of Excel holds 1,048,575"):
            many.vapi.for_excel()
        assert len(many.iloc[1:].vapi.for_excel()) == 1_048_575

    def test_too_many_columns_are_refused(self):
        """16,384 is the last one."""
        df = vf.demo().call().count().during("2026-10").fetch()
        more = pd.concat([df, pd.DataFrame(np.zeros((1, 16_384)))], axis=1)
        more.attrs = df.attrs
        with pytest.raises(QueryError, match="16,385 columns"):
            more.vapi.for_excel()

    def test_dates_that_excel_does_not_know_are_refused(self):
        """A millennium began when there were no spreadsheets."""
        vq = calls(createdAt=["1999-10-01T12:00:00Z"])
        df = vq.call().count().step("millennium").between("1999-01-01", "2000-01-01").fetch()
        assert df.index[0].year == 1001
        with pytest.raises(QueryError, match="1001-01-01, and Excel has no date before 1900"):
            df.vapi.for_excel()

    def test_numbers_beyond_fifteen_digits_are_refused(self):
        """Excel would round them; a column of one's own is looked at, too."""
        df = vf.demo().call().count().during("2026-10").fetch()
        with pytest.raises(QueryError, match="more than fifteen digits"):
            df.assign(mine=[10**15 + 1]).vapi.for_excel()
        assert df.assign(mine=[10**15]).vapi.for_excel()["mine"].tolist() == [10**15]

    def test_columns_of_groups_get_one_row_of_headers(self, tmp_path):
        """Of two groups as columns pandas alone can write no sheet; a missing group has a word."""
        vq = calls(assistantId=["a", None, "=b"], status=["ended", "", "ended"], cost=[1.0, 2.0, 3.0])
        wide = vq.call().sum("cost").by("assistantId", "status").step("day").during("2026-10").fetch().vapi.wide()
        header, row = sheet(wide.vapi.for_excel(), tmp_path / "a.xlsx").iter_rows(values_only=True)
        assert dict(zip(header, row, strict=True)) == {
            "date (UTC)": datetime(2026, 10, 1), "a · ended": 1.0, '(none) · ""': 2.0, "'=b · ended": 3.0,
        }  # fmt: skip

    def test_dates_of_a_comparison_have_their_zone(self, tmp_path):
        """So has the bucket that each is set against."""
        query = vf.demo().call().count().step("day").tz("Asia/Tokyo").between("2026-11-02", "2026-11-04")
        df = query.compare("7d").fetch()
        header, first, _ = sheet(df.vapi.for_excel(), tmp_path / "a.xlsx").iter_rows(values_only=True)
        assert "dateBefore (Asia/Tokyo)" in header
        assert first[header.index("dateBefore (Asia/Tokyo)")] == first[0] - timedelta(days=7)

    def test_moments_of_ones_own_have_their_offset(self):
        """A column in another zone is its wall clock and the offset; one without a zone stays."""
        df = vf.demo().call().count().by("type").during("2026-10").fetch()
        at = pd.to_datetime(["2026-11-01T05:30Z", "2026-11-01T06:30Z", None]).tz_convert("America/New_York")
        found = df.assign(seen=at, plain=at.tz_localize(None)).vapi.for_excel()
        assert found["seen (America/New_York)"].dt.hour.tolist()[:2] == [1, 1]
        assert found["seen (UTC offset)"].tolist() == ["-04:00", "-05:00", None]
        assert found["plain"].dt.hour.tolist()[:2] == [1, 1]
        arrow = df.assign(seen=pd.Series(at, index=df.index).astype("timestamp[us, tz=America/New_York][pyarrow]"))
        assert arrow.vapi.for_excel()["seen (UTC offset)"].tolist() == ["-04:00", "-05:00", None]

    def test_the_zone_is_that_of_the_dates(self):
        """Also after they were converted, or made a column."""
        df = vf.demo().call().count().step("day").tz("Asia/Tokyo").during("2026-10").fetch()
        paris = df.tz_convert("Europe/Paris")
        assert paris.vapi.for_excel().columns[0] == "date (Europe/Paris)"
        assert df.reset_index().vapi.for_excel().columns[0] == "date (Asia/Tokyo)"
        assert df.tz_localize(None).reset_index().vapi.for_excel().columns[0] == "date"
        assert "date (Europe/Paris)" in styled(paris).rows[1]

    def test_headers_differ(self):
        """An alias that reads like another header gets a number."""
        df = vf.demo().call().sum("cost").count(alias="sumCost (USD)").during("2026-10").fetch()
        df = df.assign(**{"sumCost (USD) (calls)": [1.0]})
        headers = list(df.vapi.for_excel())
        assert headers == ["sumCost (USD)", "sumCost (USD) (calls)", "sumCost (USD) (calls) (2)"]
