"""What people ask an assistant: the right query with its number, and tempting wrong ones."""

OCTOBER = '.during("2026-10")'


def _column(build, name):
    return lambda vq: build(vq).fetch()[name]


# Query → the last column of its rows, by the program.
RIGHT = {
    f"vq.call().count(){OCTOBER}": lambda vq: [13495],
    f'vq.call().sum("cost"){OCTOBER}': _column(lambda vq: vq.call().sum("cost").during("2026-10"), "sumCost"),
    f'vq.call().sum("cost").by("type"){OCTOBER}': _column(
        lambda vq: vq.call().sum("cost").by("type").during("2026-10"), "sumCost"
    ),
    f'vq.call().avg("duration"){OCTOBER}': _column(
        lambda vq: vq.call().avg("duration").during("2026-10"), "avgDuration"
    ),
    f'vq.call().median("cost"){OCTOBER}': _column(lambda vq: vq.call().median("cost").during("2026-10"), "medianCost"),
    f'vq.call().count().by("endedReason"){OCTOBER}': _column(
        lambda vq: vq.call().count().by("endedReason").during("2026-10"), "countId"
    ),
    f'vq.call().sum("cost").sum("duration"){OCTOBER}.vapi.per_minute()': lambda vq: (
        vq.call().sum("cost").sum("duration").during("2026-10").fetch().eval("sumCost / sumDuration")
    ),
    f'vq.call().sum("cost").count(){OCTOBER}.vapi.per_call()': lambda vq: (
        vq.call().sum("cost").count().during("2026-10").fetch().eval("sumCost / countId")
    ),
    f'vq.call().sum("cost").step("day"){OCTOBER}.vapi.rollup("month")': _column(
        lambda vq: vq.call().sum("cost").during("2026-10"), "sumCost"
    ),
    f'vq.call().count().where(type="webCall"){OCTOBER}': _column(
        lambda vq: vq.call().count().where(type="webCall").during("2026-10"), "countId"
    ),
}
# Query → part of the message.
REFUSED = {
    "how many calls were there?": "this is not a query",
    "": "the query is empty",
    'vq.call().sum("price").last("7d")': "price",
    'vq.call().sum("cost").by("assistant name").last("7d")': "assistant",
    'vq.call().total("cost").last("7d")': "sum",
    'vq.call().count().by("customer.number").last("7d")': "is personal",
    'vq.call().count().by("customerId").last("7d")': "is personal",
    'vq.call().count().where(**{"customer.number": "+1"}).last("7d")': "found **",
    'vq.call().count().last("7d").drill()': "drill",
    'vq.call().count().last("7d").vapi.drill()': "drill",
    'vq.call().count().last("7d").vapi.save("/tmp/x.parquet")': "save",
    'vq.call().count().last("7d").vapi.wide()': "leave it out",
    '__import__("os").system("id")': "unknown table",
    'vq.call().count().by(open("/etc/passwd").read())': "found",
    'vf.local("/etc").call().count()': "",
    f'vq.call().avg("duration").step("day"){OCTOBER}.vapi.rollup("month")': "avg",
    f'vq.call().count().by("type").step("minute"){OCTOBER}': '.step("hour")',
    '{"queries": []}': "query",
}
# Query → the finding that comes with its rows.
WARNED = {
    'vq.call().sum("cost").step("week").last("30d")': "VF205",
}
