"""What pandas does to a frame of cost and calls by day and type, as code, and what a verb says of the rows then."""

from __future__ import annotations

STEPS = {
    "all rows": [
        "df.copy()", "copy.deepcopy(df)", "df[['countId']]", "df[['countId', 'sumCost']]", "df.drop(columns='sumCost')",
        "df.filter(like='count')", "df.assign(mine=1)", "df.assign(cents=df['sumCost'] * 100)", "df.sort_values('sumCost')",
        "df.sort_index(ascending=False)", "df.sort_index(level='type')", "df.sample(frac=1, random_state=0)", "df.iloc[::-1]",
        "df.swaplevel()", "df.reorder_levels(['type', 'date'])", "df.reset_index().set_index(['date', 'type'])",
        "df.tz_convert('Europe/Paris', level='date')", "df.astype({'countId': 'float64'})", "df.convert_dtypes()",
        "df.astype(object)", "df.fillna(0)", "df.dropna()", "df.query('countId >= 0')", "df[df['countId'] > 0]", "df.abs()",
        "df.clip(lower=0)", "df + 0", "df * 1", "df.infer_objects()", "df.reindex(df.index)", "df.take(range(len(df)))",
        "df.where(df >= 0)", "df.mask(df < 0)", "df.replace(-1, 0)", "df.apply(lambda column: column)", "df.pipe(lambda one: one)",
        "df.groupby(level='type').filter(lambda one: True)", "pickle.loads(pickle.dumps(df))", "df.nlargest(93, 'sumCost')",
    ],
    "a range or groups": [
        "df.loc['2026-10-20':]", "df.loc['2026-10-20':'2026-10-21']", "df.loc[:'2026-10-04']", "df.head(6)", "df.tail(3)",
        "df.iloc[9:15]", "df.xs('webCall', level='type')", "df.xs(pd.Timestamp('2026-10-05', tz='UTC'), level='date')",
        "df[df.index.get_level_values('type') == 'webCall']", "df.query(\"type == 'webCall'\")", "df.query(\"type != 'webCall'\")",
        "df.loc[(slice(None), ['webCall']), :]", "df.drop(index='webCall', level='type')", "df.groupby(level='date').head(1)",
        "pickle.loads(pickle.dumps(df.head(6)))", "df.loc['2026-10-20':].xs('webCall', level='type')",
    ],
    "other rows": [
        "df[df['countId'] > 150]", "df.sample(10, random_state=0)", "df.iloc[::2]", "df.nlargest(5, 'sumCost')",
        "df.drop(index=df.index[4])", "df.loc[[df.index[0], df.index[-1]]]", "df.head(4)", "df.iloc[:0]",
    ],
    "changed": [
        "df * 100", "df.round(0)", "df.cumsum()", "df.pct_change()", "df.diff()", "df.shift()", "df.rank()", "df.astype('float32')",
        "df.clip(upper=10)", "df.mask(df['countId'] > 100)", "df.assign(sumCost=0)", "df / df.sum()", "df - df.mean()",
        "df.apply(np.log)", "df.head(9).round(1)", "df.xs('webCall', level='type') * 2",
        "df.groupby(level='type').sum()", "df.groupby(level='date').mean()", "df.groupby(level='type').transform('sum')",
        "df.groupby(pd.Grouper(level='date', freq='W')).sum()", "df.droplevel('type')", "df.droplevel('date')",
        "df.rename_axis(['day', 'kind'])", "df.rename(index={'webCall': 'web'})", "pd.concat([df, df])", "df.describe()",
        "df.iloc[::-1].set_axis(df.index)", "df.sample(frac=1, random_state=0).set_axis(df.index)", "df.reset_index(drop=True)",
        "df.astype(str)", "df.set_index(df.index.set_levels(df.index.levels[0] + pd.Timedelta('1D'), level=0))",
    ],
    "lost": ["df.rolling(3).mean()", "df.expanding().sum()", "pd.DataFrame(df.to_dict())"],
}  # fmt: skip
MEANINGS = {
    "all rows": "verbs work; `query` is the query that was fetched, for the measures that are left",
    "a range or groups": "verbs work; `query`, `refresh`, `partial` and `describe` are of that range and these groups",
    "other rows": "verbs work; no query gives the rows, so `query` and `refresh` refuse",
    "changed": "every verb and `units` refuse, and name the column, a value before and after, and the likely step",
    "lost": "there is no `df.attrs` any more, and no `df.vapi`",
}


def table():
    """Return the steps as a table of a page."""
    rows = ["| the rows are then | steps | what happens |", "| --- | --- | --- |"]
    for verdict, steps in STEPS.items():
        listed = ", ".join(f"`{step}`" for step in steps).replace("|", "\\|")
        rows.append(f"| {verdict} | {listed} | {MEANINGS[verdict]} |")
    return "\n".join([*rows, ""])
