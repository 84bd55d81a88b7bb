"""Write date_trunc.csv: the values of a real PostgreSQL for ``date_trunc(step, instant, zone)``.

Run it as any user but root (the server refuses root), where PostgreSQL 14 or later is installed and was built
to read the system's zone data, as Debian's is:

    python make_date_trunc.py [where/to/write/date_trunc.csv]

It starts a throw-away server in a temporary directory, on a unix socket only, asks it, and stops it. Nothing
but the standard library and PostgreSQL's own programs is needed. The same server version, zone data and seed
give the same file, byte for byte.
"""

import contextlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

SEED = 20260308
STEPS = (
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "decade",
    "century",
    "millennium",
)
MICRO = 1_000_000
HOUR = 3600
DAY = 24 * HOUR
FIRST = int(datetime(1970, 1, 2, tzinfo=UTC).timestamp())
END = int(datetime(2038, 1, 1, tzinfo=UTC).timestamp())  # not in it

# A clock change by its zone and local date, and the steps it is requested beside hour, day and week.
CHANGES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    # Midnight is missing.
    ("America/Sao_Paulo", "2018-11-04", ()),
    ("Africa/Cairo", "2024-04-26", ()),
    ("America/Havana", "2009-03-08", ()),
    ("Asia/Gaza", "2012-03-30", ()),
    ("America/Asuncion", "2023-10-01", ("month", "quarter")),
    # Midnight comes twice.
    ("America/Havana", "2023-11-05", ()),
    ("America/Asuncion", "2024-03-24", ()),
    # The clock goes back over midnight, and over the edge of a month.
    ("America/St_Johns", "2006-10-29", ()),
    ("America/St_Johns", "2009-11-01", ("month", "quarter", "year")),
    ("America/St_Johns", "2010-11-07", ()),
    ("Africa/Khartoum", "2017-11-01", ("month", "quarter")),
    ("Africa/Juba", "2021-02-01", ("month", "quarter")),
    # The offset moves at the edge of a year.
    ("Asia/Kathmandu", "1986-01-01", ("month", "quarter", "year", "decade")),
    ("Asia/Singapore", "1982-01-01", ("month", "quarter", "year", "decade")),
    # A whole day is skipped.
    ("Pacific/Kwajalein", "1993-08-21", ("month",)),
    ("Pacific/Kiritimati", "1994-12-31", ("month", "quarter", "year")),
    ("Pacific/Apia", "2011-12-30", ("month", "quarter", "year")),
    # The offset moves by other than an hour.
    ("Africa/Monrovia", "1972-01-07", ("month", "year")),
    ("Australia/Lord_Howe", "2023-04-02", ("month",)),
    ("Australia/Lord_Howe", "2023-10-01", ("month", "quarter")),
    ("Asia/Pyongyang", "2015-08-15", ()),
    ("Asia/Pyongyang", "2018-05-05", ()),
    ("Antarctica/Troll", "2023-03-26", ()),
    ("Antarctica/Troll", "2023-10-29", ()),
    # Summer time by another name: winter or Ramadan is the exception.
    ("Europe/Dublin", "2023-03-26", ()),
    ("Europe/Dublin", "2023-10-29", ()),
    ("Africa/Casablanca", "2023-03-19", ()),
    ("Africa/Casablanca", "2023-04-23", ()),
    # Plain summer time.
    ("America/New_York", "2026-03-08", ()),
    ("America/New_York", "2026-11-01", ("month",)),
    ("Europe/London", "2023-03-26", ()),
    ("Europe/London", "2023-10-29", ()),
    ("Asia/Gaza", "2023-04-29", ()),
    ("Asia/Gaza", "2023-10-28", ()),
)

# Of every zone: pairs anywhere in the span, and pairs within two hours of one of its own clock changes.
ANYWHERE = 4
NEAR = 3

SELECT_BUCKETS = """
COPY (
    SELECT step, zone, micro(at) AS instant, micro(date_trunc(step, at, zone)) AS bucket
    FROM (SELECT step, zone, timestamptz 'epoch' + instant * interval '1 microsecond' AS at FROM ask) AS instants
    ORDER BY zone, instant, array_position(ARRAY[{steps}], step)
) TO STDOUT (FORMAT csv);
"""

# The server looks a name up among its abbreviations before it does among its zones.
ABBREVIATIONS = """
SELECT name FROM pg_timezone_names
WHERE upper(name) IN (SELECT upper(abbrev) FROM pg_timezone_abbrevs) ORDER BY name
"""

Row = tuple[str, str, int]
Ask = Callable[[str], str]


@contextlib.contextmanager
def server() -> Iterator[Ask]:
    """A throw-away server: yields the function that runs a script of SQL and gives its bare output."""
    found = shutil.which("pg_ctl")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda place: int(place.parts[-3]))
    if not found and not places:
        sys.exit("pg_ctl is neither on PATH nor in /usr/lib/postgresql/*/bin")
    programs = Path(found).resolve().parent if found else places[-1].parent

    def run(program: str, *arguments: str, stdin: str = "") -> str:
        command = [str(programs / program), *arguments]
        return subprocess.run(command, input=stdin, check=True, text=True, stdout=subprocess.PIPE).stdout

    with tempfile.TemporaryDirectory() as home:
        data = f"{home}/data"
        run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-k {home} -c listen_addresses='' -c timezone=UTC -c fsync=off"
        # The server outlives pg_ctl, so its output goes to a file and not to a pipe of ours.
        run("pg_ctl", "start", "-w", "-s", "-D", data, "-l", f"{home}/log", "-o", options)
        try:
            bare = ("-XqAt", "--set=ON_ERROR_STOP=1", f"--host={home}", "--username=postgres")
            yield lambda script: run("psql", *bare, stdin=script)
        finally:
            run("pg_ctl", "stop", "-w", "-s", "-m", "fast", "-D", data)


def zone_data(ask: Ask) -> str:
    """The version of the zone data that the server reads, by the first lines of its ``tzdata.zi``."""
    built = ask("SELECT setting FROM pg_config WHERE name = 'CONFIGURE'")
    folder = re.search(r"--with-system-tzdata=([^'\s]+)", built)
    if not folder:
        sys.exit("this PostgreSQL uses its own zone data and does not tell their version")
    said = []
    with Path(folder[1], "tzdata.zi").open(encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith(("# version", "# ddeps", "# redo")):
                break
            said.append(line.strip("# \n"))
    return ", ".join(said)


def offset(zone: ZoneInfo, instant: int) -> timedelta | None:
    """What the zone's clock is ahead of UTC at an instant."""
    return datetime.fromtimestamp(instant, zone).utcoffset()


def changes(zone: ZoneInfo, start: int, end: int, stride: int = 5 * DAY) -> list[int]:
    """The first instant of each offset of the zone, in [start, end); of changes within one stride, one."""
    found = []
    for low in range(start, end, stride):
        high = min(low + stride, end)
        before = offset(zone, low)
        if before == offset(zone, high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if offset(zone, middle) == before:
                low = middle  # noqa: PLW2901 - the bisection narrows what it was given
            else:
                high = middle
        found.append(high)
    return found


def around_changes() -> Iterator[Row]:
    """Every quarter hour within three hours of each chosen change, and its last microsecond before."""
    for name, day, more in CHANGES:
        midnight = int(datetime.combine(date.fromisoformat(day), time(), UTC).timestamp())
        change, *others = changes(ZoneInfo(name), midnight - DAY, midnight + 2 * DAY, HOUR)
        if others:
            sys.exit(f"{name} has more than one change around {day}")
        near = [(change + quarter * HOUR // 4) * MICRO for quarter in range(-12, 13)]
        for instant in [*near, change * MICRO - 1]:
            for step in ("hour", "day", "week", *more):
                yield step, name, instant


def everywhere(names: Iterable[str]) -> Iterator[Row]:
    """A handful of random pairs in each zone, some of them near a change of its clock."""
    chance = random.Random(SEED)
    for name in names:
        zone = ZoneInfo(name)
        for _ in range(ANYWHERE):
            yield chance.choice(STEPS), name, chance.randrange(FIRST * MICRO, END * MICRO)
        moves = changes(zone, FIRST + 2 * HOUR, END - 2 * HOUR)
        for _ in range(NEAR if moves else 0):
            shift = chance.randint(-2 * HOUR * MICRO, 2 * HOUR * MICRO)
            yield chance.choice(STEPS), name, chance.choice(moves) * MICRO + shift


def main(target: Path) -> None:
    """Ask, and write."""
    with server() as ask:
        known = set(ask("SELECT name FROM pg_timezone_names").split())
        names = sorted(
            name
            for name in known & available_timezones()
            if not name.startswith(("posix/", "right/")) and name not in {"Factory", "localtime"}
        )
        rows = sorted({*around_changes(), *everywhere(names)})
        buckets = ask(
            "CREATE TABLE ask (step text, zone text, instant bigint);\n"
            "CREATE FUNCTION micro(timestamptz) RETURNS bigint LANGUAGE sql AS\n"
            "    'SELECT (EXTRACT(epoch FROM $1) * 1000000)::bigint';\n"
            "COPY ask FROM STDIN (FORMAT csv);\n"
            + "".join(f"{step},{zone},{instant}\n" for step, zone, instant in rows)
            + "\\.\n"
            + SELECT_BUCKETS.format(steps=", ".join(f"'{step}'" for step in STEPS))
        )
        header = (
            "# What PostgreSQL buckets for date_trunc(step, instant, zone), made by make_date_trunc.py.\n"
            "# instant and bucket are whole microseconds since 1970-01-01 00:00 UTC.\n"
            f"# PostgreSQL: {ask('SHOW server_version').strip()}\n"
            f"# zone data: {zone_data(ask)}\n"
            f"# seed: {SEED}\n"
            f"# read as an abbreviation, so with one fixed offset: {' '.join(ask(ABBREVIATIONS).split())}\n"
            "step,zone,instant,bucket\n"
        )
    target.write_text(header + buckets, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("date_trunc.csv"))
