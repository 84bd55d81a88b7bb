-- what did it cost
-- vq.call().sum("cost").between("2026-10-01", "2026-11-01")
WITH in_range AS (
  SELECT CASE WHEN isfinite("cost") THEN "cost" WHEN isinf("cost") THEN error('costnumber' || coalesce(CAST("cost" AS VARCHAR), '') || '') END AS v0
  FROM calls
  WHERE "createdAt" >= TIMESTAMPTZ '2026-10-01 00:00:00+00' AND "createdAt" < TIMESTAMPTZ '2026-11-01 00:00:00+00'
)
SELECT sum(v0) AS m0, count(*) AS n
FROM in_range;

-- how many calls a day
-- vq.call().count().step("day").between("2026-10-01", "2026-11-01")
WITH in_range AS (
  SELECT epoch_us("createdAt") // 1000000 AS e, "id" IS NULL AS without_id
  FROM calls
  WHERE "createdAt" >= TIMESTAMPTZ '2026-10-01 00:00:00+00' AND "createdAt" < TIMESTAMPTZ '2026-11-01 00:00:00+00'
), on_clock AS (
  SELECT e, e AS l, without_id
  FROM in_range
), in_buckets AS (
  SELECT l - l % 86400 AS g0, without_id
  FROM on_clock
)
SELECT g0, count(*) AS m0, sum(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_buckets
GROUP BY g0;

-- cost and minutes by assistant
-- (
    vq.call()
    .sum("cost", "duration")
    .by("assistantId")
    .between("2026-10-01", "2026-11-01")
)
WITH in_range AS (
  SELECT "assistantId" AS g0, CASE WHEN isfinite("cost") THEN "cost" WHEN isinf("cost") THEN error('costnumber' || coalesce(CAST("cost" AS VARCHAR), '') || '') END AS v0, (epoch_us("endedAt") - epoch_us("startedAt")) / 60000000.0::DOUBLE AS v1
  FROM calls
  WHERE "createdAt" >= TIMESTAMPTZ '2026-10-01 00:00:00+00' AND "createdAt" < TIMESTAMPTZ '2026-11-01 00:00:00+00'
)
SELECT g0, sum(v0) AS m0, sum(v1) AS m1, sum(CASE WHEN v1 < 0 THEN 1 ELSE 0 END) AS w, count(*) - count(v1) AS u
FROM in_range
GROUP BY g0;

-- why did calls end
-- vq.call().count().by("endedReason").last("7d")
WITH in_range AS (
  SELECT "endedReason" AS g0, "id" IS NULL AS without_id
  FROM calls
  WHERE "createdAt" >= TIMESTAMPTZ '2026-11-09 00:00:00+00' AND "createdAt" < TIMESTAMPTZ '2026-11-16 00:00:00+00'
)
SELECT g0, count(*) AS m0, sum(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_range
GROUP BY g0;

-- cost by day in New York, over a change of the clock
-- (
    vq.call()
    .sum("cost")
    .step("day")
    .between("2026-11-01", "2026-12-01")
    .tz("America/New_York")
)
WITH in_range AS (
  SELECT epoch_us("createdAt") // 1000000 AS e, CASE WHEN isfinite("cost") THEN "cost" WHEN isinf("cost") THEN error('costnumber' || coalesce(CAST("cost" AS VARCHAR), '') || '') END AS v0
  FROM calls
  WHERE "createdAt" >= TIMESTAMPTZ '2026-11-01 04:00:00+00' AND "createdAt" < TIMESTAMPTZ '2026-12-01 05:00:00+00'
), on_clock AS (
  SELECT e, e + CASE WHEN e < 1793512800 THEN -14400 ELSE -18000 END AS l, v0
  FROM in_range
), in_buckets AS (
  SELECT l - l % 86400 AS g0, v0
  FROM on_clock
)
SELECT g0, sum(v0) AS m0
FROM in_buckets
GROUP BY g0;

-- calls by hour in New York
-- (
    vq.call()
    .count()
    .step("hour")
    .between("2026-11-01", "2026-11-02")
    .tz("America/New_York")
)
WITH in_range AS (
  SELECT epoch_us("createdAt") // 1000000 AS e, "id" IS NULL AS without_id
  FROM calls
  WHERE "createdAt" >= TIMESTAMPTZ '2026-11-01 04:00:00+00' AND "createdAt" < TIMESTAMPTZ '2026-11-02 05:00:00+00'
), on_clock AS (
  SELECT e, e AS l, without_id
  FROM in_range
), in_buckets AS (
  SELECT e - l % 3600 AS g0, without_id
  FROM on_clock
)
SELECT g0, count(*) AS m0, sum(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_buckets
GROUP BY g0;

-- weeks in Kathmandu
-- (
    vq.call()
    .avg("duration")
    .with_counts()
    .step("week")
    .between("2026-10-01", "2026-11-01")
    .tz("Asia/Kathmandu")
)
WITH in_range AS (
  SELECT epoch_us("createdAt") // 1000000 AS e, (epoch_us("endedAt") - epoch_us("startedAt")) / 60000000.0::DOUBLE AS v0
  FROM calls
  WHERE "createdAt" >= TIMESTAMPTZ '2026-09-30 18:15:00+00' AND "createdAt" < TIMESTAMPTZ '2026-10-31 18:15:00+00'
), on_clock AS (
  SELECT e, e + 20700 AS l, v0
  FROM in_range
), in_buckets AS (
  SELECT l - (l + 259200) % 604800 AS g0, v0
  FROM on_clock
)
SELECT g0, avg(v0) AS m0, count(v0) AS m1, sum(CASE WHEN v0 < 0 THEN 1 ELSE 0 END) AS w, count(*) - count(v0) AS u
FROM in_buckets
GROUP BY g0;

-- months of a year by type
-- (
    vq.call()
    .sum("cost")
    .count()
    .by("type")
    .step("month")
    .between("2026-01-01", "2027-01-01")
    .tz("America/New_York")
)
WITH in_range AS (
  SELECT epoch_us("createdAt") // 1000000 AS e, "type" AS g1, CASE WHEN isfinite("cost") THEN "cost" WHEN isinf("cost") THEN error('costnumber' || coalesce(CAST("cost" AS VARCHAR), '') || '') END AS v0, "id" IS NULL AS without_id
  FROM calls
  WHERE "createdAt" >= TIMESTAMPTZ '2026-01-01 05:00:00+00' AND "createdAt" < TIMESTAMPTZ '2027-01-01 05:00:00+00'
), on_clock AS (
  SELECT e, e + CASE WHEN e < 1772953200 THEN -18000 WHEN e < 1793512800 THEN -14400 ELSE -18000 END AS l, g1, v0, without_id
  FROM in_range
), in_buckets AS (
  SELECT CASE WHEN l < 1769904000 THEN 1767225600 WHEN l < 1772323200 THEN 1769904000 WHEN l < 1775001600 THEN 1772323200 WHEN l < 1777593600 THEN 1775001600 WHEN l < 1780272000 THEN 1777593600 WHEN l < 1782864000 THEN 1780272000 WHEN l < 1785542400 THEN 1782864000 WHEN l < 1788220800 THEN 1785542400 WHEN l < 1790812800 THEN 1788220800 WHEN l < 1793491200 THEN 1790812800 WHEN l < 1796083200 THEN 1793491200 WHEN l < 1798761600 THEN 1796083200 ELSE 1798761600 END AS g0, g1, v0, without_id
  FROM on_clock
)
SELECT g0, g1, sum(v0) AS m0, count(*) AS m1, sum(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_buckets
GROUP BY g0, g1;

-- decades
-- vq.call().count().step("decade").between("2015-01-01", "2026-01-01")
WITH in_range AS (
  SELECT epoch_us("createdAt") // 1000000 AS e, "id" IS NULL AS without_id
  FROM calls
  WHERE "createdAt" >= TIMESTAMPTZ '2015-01-01 00:00:00+00' AND "createdAt" < TIMESTAMPTZ '2026-01-01 00:00:00+00'
), on_clock AS (
  SELECT e, e AS l, without_id
  FROM in_range
), in_buckets AS (
  SELECT CASE WHEN l < 1577836800 THEN 1262304000 ELSE 1577836800 END AS g0, without_id
  FROM on_clock
)
SELECT g0, count(*) AS m0, sum(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_buckets
GROUP BY g0;

-- the transcriber, by a variable
-- (
    vq.call()
    .sum("costBreakdown.transcriber")
    .by_variable("plan")
    .between("2026-10-01", "2026-11-01")
)
WITH in_range AS (
  SELECT "variableValues.plan" AS g0, coalesce(CASE WHEN isfinite("costBreakdown.transcriber") THEN "costBreakdown.transcriber" WHEN isinf("costBreakdown.transcriber") THEN error('costBreakdown.transcribernumber' || coalesce(CAST("costBreakdown.transcriber" AS VARCHAR), '') || '') END, CASE WHEN isfinite("costBreakdown.stt") THEN "costBreakdown.stt" WHEN isinf("costBreakdown.stt") THEN error('costBreakdown.transcribernumber' || coalesce(CAST("costBreakdown.stt" AS VARCHAR), '') || '') END) AS v0
  FROM calls
  WHERE "createdAt" >= TIMESTAMPTZ '2026-10-01 00:00:00+00' AND "createdAt" < TIMESTAMPTZ '2026-11-01 00:00:00+00'
)
SELECT g0, sum(v0) AS m0
FROM in_range
GROUP BY g0;

-- a variable and a group by minute
-- vq.call().count().by("type").by_variable("plan").step("minute").last("2h")
WITH in_range AS (
  SELECT epoch_us("createdAt") // 1000000 AS e, "type" AS g1, "variableValues.plan" AS g2, "id" IS NULL AS without_id
  FROM calls
  WHERE "createdAt" >= TIMESTAMPTZ '2026-11-15 22:00:00+00' AND "createdAt" < TIMESTAMPTZ '2026-11-16 00:00:00+00'
), on_clock AS (
  SELECT e, e AS l, g1, g2, without_id
  FROM in_range
), in_buckets AS (
  SELECT e - l % 60 AS g0, g1, g2, without_id
  FROM on_clock
)
SELECT g0, g1, g2, count(*) AS m0, sum(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_buckets
GROUP BY g0, g1, g2;

-- calls of an assistant that went wrong or were not judged, by plan
-- (
    vq.call()
    .count()
    .sum("cost")
    .by_variable("plan")
    .where({"analysis.successEvaluation": ["false", "it's", None], "variable.campaign": "autumn"}, assistantId="a")
    .between("2026-10-01", "2026-11-01")
)
WITH in_range AS (
  SELECT "variableValues.plan" AS g0, CASE WHEN isfinite("cost") THEN "cost" WHEN isinf("cost") THEN error('costnumber' || coalesce(CAST("cost" AS VARCHAR), '') || '') END AS v0, "id" IS NULL AS without_id
  FROM calls
  WHERE "createdAt" >= TIMESTAMPTZ '2026-10-01 00:00:00+00' AND "createdAt" < TIMESTAMPTZ '2026-11-01 00:00:00+00' AND ("analysis.successEvaluation" IN ('false', 'it''s') OR "analysis.successEvaluation" IS NULL) AND "assistantId" IN ('a') AND "variableValues.campaign" IN ('autumn')
)
SELECT g0, count(*) AS m0, sum(v0) AS m1, sum(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_range
GROUP BY g0;

-- minutes used
-- (
    vq.subscription()
    .sum("minutesUsed")
    .step("day")
    .between("2026-10-26", "2026-11-02")
)
WITH in_range AS (
  SELECT epoch_us("createdAt") // 1000000 AS e, (epoch_us("endedAt") - epoch_us("startedAt")) / 60000000.0::DOUBLE AS v0
  FROM calls
  WHERE "createdAt" >= TIMESTAMPTZ '2026-10-26 00:00:00+00' AND "createdAt" < TIMESTAMPTZ '2026-11-02 00:00:00+00'
), on_clock AS (
  SELECT e, e AS l, v0
  FROM in_range
), in_buckets AS (
  SELECT l - l % 86400 AS g0, v0
  FROM on_clock
)
SELECT g0, sum(v0) AS m0, sum(CASE WHEN v0 < 0 THEN 1 ELSE 0 END) AS w, count(*) - count(v0) AS u
FROM in_buckets
GROUP BY g0;

-- calls at once
-- vq.subscription().max("concurrency").between("2026-10-01", "2026-11-01")
WITH intervals AS (
  SELECT epoch_us("startedAt") AS s, epoch_us("endedAt") AS f, CASE WHEN "status" IN ('ended', 'not-found', 'deletion-failed') OR "endedReason" <> '' THEN 1 ELSE 0 END AS is_over
  FROM calls
), active AS (
  SELECT CASE WHEN s < 1790812800000000 THEN 1790812800000000 ELSE s END AS b, f
  FROM intervals
  WHERE s < 1793491200000000 AND ((f > s AND f > 1790812800000000) OR (f IS NULL AND is_over = 0))
), intervals_again AS (
  SELECT epoch_us("startedAt") AS s, epoch_us("endedAt") AS f, CASE WHEN "status" IN ('ended', 'not-found', 'deletion-failed') OR "endedReason" <> '' THEN 1 ELSE 0 END AS is_over
  FROM calls
), ended AS (
  SELECT f
  FROM intervals_again
  WHERE f > s AND f > 1790812800000000 AND f < 1793491200000000
), changed AS (
  SELECT b AS t, 1 AS d FROM active
  UNION ALL SELECT f AS t, -1 AS d FROM ended
), in_buckets AS (
  SELECT t - t % 86400000000 AS g2, t, d
  FROM changed
), leveled AS (
  SELECT g2, t, d, sum(d) OVER (PARTITION BY g2 ORDER BY t) AS n
  FROM in_buckets
)
SELECT 0 AS g0, 0 AS g1, max(n) AS highest, min(n) AS lowest, min(t) AS earliest, sum(d) AS net,
  0 AS moment, 0 AS early
FROM leveled
GROUP BY g2;

-- calls at once by hour in New York
-- (
    vq.subscription()
    .max("concurrency")
    .step("hour")
    .between("2026-11-01", "2026-11-02")
    .tz("America/New_York")
)
WITH intervals AS (
  SELECT epoch_us("startedAt") AS s, epoch_us("endedAt") AS f, CASE WHEN "status" IN ('ended', 'not-found', 'deletion-failed') OR "endedReason" <> '' THEN 1 ELSE 0 END AS is_over
  FROM calls
), active AS (
  SELECT CASE WHEN s < 1793505600000000 THEN 1793505600000000 ELSE s END AS b, f
  FROM intervals
  WHERE s < 1793595600000000 AND ((f > s AND f > 1793505600000000) OR (f IS NULL AND is_over = 0))
), intervals_again AS (
  SELECT epoch_us("startedAt") AS s, epoch_us("endedAt") AS f, CASE WHEN "status" IN ('ended', 'not-found', 'deletion-failed') OR "endedReason" <> '' THEN 1 ELSE 0 END AS is_over
  FROM calls
), ended AS (
  SELECT f
  FROM intervals_again
  WHERE f > s AND f > 1793505600000000 AND f < 1793595600000000
), changed AS (
  SELECT b AS t, 1 AS d FROM active
  UNION ALL SELECT f AS t, -1 AS d FROM ended
), on_clock AS (
  SELECT t, d, t AS l
  FROM changed
), in_buckets AS (
  SELECT t - l % 3600000000 AS g0, t, d
  FROM on_clock
), leveled AS (
  SELECT g0, t, d, sum(d) OVER (PARTITION BY g0 ORDER BY t) AS n
  FROM in_buckets
)
SELECT g0, 0 AS g1, max(n) AS highest, min(n) AS lowest, min(t) AS earliest, sum(d) AS net,
  0 AS moment, 0 AS early
FROM leveled
GROUP BY g0;

-- the history of calls at once
-- vq.subscription().history("concurrency").between("2026-11-01", "2026-11-02")
WITH intervals AS (
  SELECT epoch_us("startedAt") AS s, epoch_us("endedAt") AS f, CASE WHEN "status" IN ('ended', 'not-found', 'deletion-failed') OR "endedReason" <> '' THEN 1 ELSE 0 END AS is_over
  FROM calls
), active AS (
  SELECT CASE WHEN s < 1793491200000000 THEN 1793491200000000 ELSE s END AS b, f
  FROM intervals
  WHERE s < 1793577600000000 AND ((f > s AND f > 1793491200000000) OR (f IS NULL AND is_over = 0))
), intervals_again AS (
  SELECT epoch_us("startedAt") AS s, epoch_us("endedAt") AS f, CASE WHEN "status" IN ('ended', 'not-found', 'deletion-failed') OR "endedReason" <> '' THEN 1 ELSE 0 END AS is_over
  FROM calls
), ended AS (
  SELECT f
  FROM intervals_again
  WHERE f > s AND f > 1793491200000000 AND f < 1793577600000000
), changed AS (
  SELECT b AS t, 1 AS d FROM active
  UNION ALL SELECT f AS t, -1 AS d FROM ended
)
SELECT t, sum(d) AS net
FROM changed
GROUP BY t;
