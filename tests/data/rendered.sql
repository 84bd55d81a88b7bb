-- spark: calls a day in New York
-- (
--     vq.call()
--     .count()
--     .step("day")
--     .between("2026-10-28", "2026-11-05")
--     .tz("America/New_York")
-- )
WITH in_range AS (
  SELECT unix_seconds(`calls`.`createdAt`) AS e, `calls`.`id` IS NULL AS without_id
  FROM `calls` AS `calls`
  WHERE (`calls`.`createdAt` IS NULL OR `calls`.`createdAt` >= timestamp_micros(1793160000000000)) AND (`calls`.`createdAt` IS NULL OR `calls`.`createdAt` < timestamp_micros(1793854800000000)) AND NOT `calls`.`createdAt` IS NULL
), on_clock AS (
  SELECT e, e + CASE WHEN e < 1793512800 THEN -14400 ELSE -18000 END AS l, without_id
  FROM in_range
), in_buckets AS (
  SELECT l - l % 86400 AS g0, without_id
  FROM on_clock
)
SELECT g0, COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_buckets
GROUP BY g0;

-- spark: what parts cost, by plan
-- (
--     vq.call()
--     .sum("costBreakdown.llm")
--     .avg("duration")
--     .by_variable("plan")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT CAST(try_element_at(`calls`.`artifact`.`variableValues`, 'plan') AS STRING) AS g0, CAST(`calls`.`costBreakdown`.`llm` AS DOUBLE) AS v0, (CAST(CAST(CAST(`calls`.`endedAt` - CAST('1970-01-01' AS TIMESTAMP_NTZ) AS INTERVAL SECOND) AS DECIMAL(20, 6)) * 1000000 AS BIGINT) - CAST(CAST(CAST(`calls`.`startedAt` - CAST('1970-01-01' AS TIMESTAMP_NTZ) AS INTERVAL SECOND) AS DECIMAL(20, 6)) * 1000000 AS BIGINT)) / CAST(60000000.0 AS DOUBLE) AS v1, `calls`.`startedAt` AS started, `calls`.`endedAt` AS ended
  FROM `calls` AS `calls`
  WHERE (`calls`.`createdAt` IS NULL OR `calls`.`createdAt` >= timestamp_micros(1790812800000000)) AND (`calls`.`createdAt` IS NULL OR `calls`.`createdAt` < timestamp_micros(1793491200000000)) AND NOT `calls`.`createdAt` IS NULL
)
SELECT g0, SUM(v0) AS m0, AVG(v1) AS m1, SUM(CASE WHEN ended < started THEN 1 ELSE 0 END) AS w, SUM(CASE WHEN started IS NULL OR ended IS NULL THEN 1 ELSE 0 END) AS u
FROM in_range
GROUP BY g0;

-- spark: chosen calls
-- (
--     vq.call()
--     .count()
--     .where({"variable.plan": ["pro", "it's", None]}, type="webCall")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT `calls`.`id` IS NULL AS without_id
  FROM `calls` AS `calls`
  WHERE (`calls`.`createdAt` IS NULL OR `calls`.`createdAt` >= timestamp_micros(1790812800000000)) AND (`calls`.`createdAt` IS NULL OR `calls`.`createdAt` < timestamp_micros(1793491200000000)) AND CAST(`calls`.`type` AS STRING) IN ('webCall') AND (CAST(try_element_at(`calls`.`artifact`.`variableValues`, 'plan') AS STRING) IN ('pro', CAST(X'69742773' AS STRING)) OR CAST(try_element_at(`calls`.`artifact`.`variableValues`, 'plan') AS STRING) IS NULL) AND NOT `calls`.`createdAt` IS NULL
)
SELECT COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x, COUNT(*) AS n
FROM in_range;

-- spark: the history of calls at once
-- vq.subscription().history("concurrency").between("2026-11-01", "2026-11-02")
WITH intervals AS (
  SELECT `calls`.`startedAt` AS s, `calls`.`endedAt` AS f, CASE WHEN CAST(`calls`.`status` AS STRING) IN ('ended', 'not-found', 'deletion-failed') OR CAST(`calls`.`endedReason` AS STRING) <> '' THEN 1 ELSE 0 END AS is_over
  FROM `calls` AS `calls`
), active AS (
  SELECT CASE WHEN s < CAST('2026-11-01 00:00:00' AS TIMESTAMP_NTZ) THEN CAST('2026-11-01 00:00:00' AS TIMESTAMP_NTZ) ELSE s END AS b, f
  FROM intervals
  WHERE (s IS NULL OR s < CAST('2026-11-02 00:00:00' AS TIMESTAMP_NTZ)) AND ((f > s AND f > CAST('2026-11-01 00:00:00' AS TIMESTAMP_NTZ)) OR (f IS NULL AND is_over = 0)) AND NOT s IS NULL
), sides AS (
  SELECT b, f, EXPLODE(ARRAY(1, -1)) AS d
  FROM active
), changed AS (
  SELECT CAST(CAST(CAST(CASE WHEN d = 1 THEN b ELSE f END - CAST('1970-01-01' AS TIMESTAMP_NTZ) AS INTERVAL SECOND) AS DECIMAL(20, 6)) * 1000000 AS BIGINT) AS t, d
  FROM sides
  WHERE d = 1 OR f < CAST('2026-11-02 00:00:00' AS TIMESTAMP_NTZ)
)
SELECT t, SUM(d) AS net
FROM changed
GROUP BY t;

-- databricks: calls a day in New York
-- (
--     vq.call()
--     .count()
--     .step("day")
--     .between("2026-10-28", "2026-11-05")
--     .tz("America/New_York")
-- )
WITH in_range AS (
  SELECT unix_seconds(`calls`.`createdAt`) AS e, `calls`.`id` IS NULL AS without_id
  FROM `calls` AS `calls`
  WHERE `calls`.`createdAt` >= timestamp_micros(1793160000000000) AND `calls`.`createdAt` < timestamp_micros(1793854800000000)
), on_clock AS (
  SELECT e, e + CASE WHEN e < 1793512800 THEN -14400 ELSE -18000 END AS l, without_id
  FROM in_range
), in_buckets AS (
  SELECT l - l % 86400 AS g0, without_id
  FROM on_clock
)
SELECT g0, COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_buckets
GROUP BY g0;

-- databricks: what parts cost, by plan
-- (
--     vq.call()
--     .sum("costBreakdown.llm")
--     .avg("duration")
--     .by_variable("plan")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT CAST(try_element_at(`calls`.`artifact`.`variableValues`, 'plan') AS STRING) AS g0, CAST(`calls`.`costBreakdown`.`llm` AS DOUBLE) AS v0, (CAST(CAST(CAST(`calls`.`endedAt` - CAST('1970-01-01' AS TIMESTAMP_NTZ) AS INTERVAL SECOND) AS DECIMAL(20, 6)) * 1000000 AS BIGINT) - CAST(CAST(CAST(`calls`.`startedAt` - CAST('1970-01-01' AS TIMESTAMP_NTZ) AS INTERVAL SECOND) AS DECIMAL(20, 6)) * 1000000 AS BIGINT)) / CAST(60000000.0 AS DOUBLE) AS v1, `calls`.`startedAt` AS started, `calls`.`endedAt` AS ended
  FROM `calls` AS `calls`
  WHERE `calls`.`createdAt` >= timestamp_micros(1790812800000000) AND `calls`.`createdAt` < timestamp_micros(1793491200000000)
)
SELECT g0, SUM(v0) AS m0, AVG(v1) AS m1, SUM(CASE WHEN ended < started THEN 1 ELSE 0 END) AS w, SUM(CASE WHEN started IS NULL OR ended IS NULL THEN 1 ELSE 0 END) AS u
FROM in_range
GROUP BY g0;

-- databricks: chosen calls
-- (
--     vq.call()
--     .count()
--     .where({"variable.plan": ["pro", "it's", None]}, type="webCall")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT `calls`.`id` IS NULL AS without_id
  FROM `calls` AS `calls`
  WHERE `calls`.`createdAt` >= timestamp_micros(1790812800000000) AND `calls`.`createdAt` < timestamp_micros(1793491200000000) AND CAST(`calls`.`type` AS STRING) IN ('webCall') AND (CAST(try_element_at(`calls`.`artifact`.`variableValues`, 'plan') AS STRING) IN ('pro', CAST(X'69742773' AS STRING)) OR CAST(try_element_at(`calls`.`artifact`.`variableValues`, 'plan') AS STRING) IS NULL)
)
SELECT COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x, COUNT(*) AS n
FROM in_range;

-- databricks: the history of calls at once
-- vq.subscription().history("concurrency").between("2026-11-01", "2026-11-02")
WITH intervals AS (
  SELECT `calls`.`startedAt` AS s, `calls`.`endedAt` AS f, CASE WHEN CAST(`calls`.`status` AS STRING) IN ('ended', 'not-found', 'deletion-failed') OR CAST(`calls`.`endedReason` AS STRING) <> '' THEN 1 ELSE 0 END AS is_over
  FROM `calls` AS `calls`
), active AS (
  SELECT CASE WHEN s < CAST('2026-11-01 00:00:00' AS TIMESTAMP_NTZ) THEN CAST('2026-11-01 00:00:00' AS TIMESTAMP_NTZ) ELSE s END AS b, f
  FROM intervals
  WHERE s < CAST('2026-11-02 00:00:00' AS TIMESTAMP_NTZ) AND ((f > s AND f > CAST('2026-11-01 00:00:00' AS TIMESTAMP_NTZ)) OR (f IS NULL AND is_over = 0))
), sides AS (
  SELECT b, f, EXPLODE(ARRAY(1, -1)) AS d
  FROM active
), changed AS (
  SELECT CAST(CAST(CAST(CASE WHEN d = 1 THEN b ELSE f END - CAST('1970-01-01' AS TIMESTAMP_NTZ) AS INTERVAL SECOND) AS DECIMAL(20, 6)) * 1000000 AS BIGINT) AS t, d
  FROM sides
  WHERE d = 1 OR f < CAST('2026-11-02 00:00:00' AS TIMESTAMP_NTZ)
)
SELECT t, SUM(d) AS net
FROM changed
GROUP BY t;

-- postgres: calls a day in New York
-- (
--     vq.call()
--     .count()
--     .step("day")
--     .between("2026-10-28", "2026-11-05")
--     .tz("America/New_York")
-- )
WITH in_range AS (
  SELECT CASE WHEN "calls"."createdAt" < CAST('2026-11-01 06:00:00+00' AS TIMESTAMPTZ) THEN date_trunc('day', (("calls"."createdAt" AT TIME ZONE 'UTC') + INTERVAL '-14400 seconds')) ELSE date_trunc('day', (("calls"."createdAt" AT TIME ZONE 'UTC') + INTERVAL '-18000 seconds')) END AS g0, "calls"."id" IS NULL AS without_id
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= CAST('2026-10-28 04:00:00+00' AS TIMESTAMPTZ) AND "calls"."createdAt" < CAST('2026-11-05 05:00:00+00' AS TIMESTAMPTZ)
)
SELECT CAST(extract(epoch FROM g0) AS BIGINT) AS g0, COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_range
GROUP BY g0;

-- postgres: what parts cost, by plan
-- (
--     vq.call()
--     .sum("costBreakdown.llm")
--     .avg("duration")
--     .by_variable("plan")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT CAST(CASE jsonb_typeof(CAST((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') AS JSONB)) WHEN 'string' THEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') WHEN 'number' THEN CASE WHEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') ~ '^(0|-?[1-9][0-9]{0,18})$' THEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') ELSE CASE WHEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') ~ '^-?[0-9]{16}[.]0+$' THEN CASE WHEN abs(CAST(((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') AS DOUBLE PRECISION)) < 9007199254740992 THEN split_part(((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}'), '.', 1) ELSE ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') END ELSE CAST(CAST(((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') AS DOUBLE PRECISION) + 0 AS TEXT) END END WHEN 'boolean' THEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') WHEN 'object' THEN regexp_replace(CAST(CAST((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') AS JSONB) AS TEXT), E'("([^"\\\\]|\\\\.)*")| ', E'\\1', 'g') WHEN 'array' THEN regexp_replace(CAST(CAST((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') AS JSONB) AS TEXT), E'("([^"\\\\]|\\\\.)*")| ', E'\\1', 'g') END AS TEXT) COLLATE "C" AS g0, CAST(nullif(CAST(coalesce((CAST("calls"."costBreakdown" AS JSONB) -> 'llm'), CAST("calls"."costBreakdown" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."costBreakdown" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f636f7374427265616b646f776e1f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."costBreakdown" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB), 'null') AS DOUBLE PRECISION) AS v0, (round(date_part('epoch', "calls"."endedAt" - "calls"."startedAt") * 1000000)) / CAST(60000000.0 AS DOUBLE PRECISION) AS v1, "calls"."startedAt" AS started, "calls"."endedAt" AS ended
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= CAST('2026-10-01 00:00:00+00' AS TIMESTAMPTZ) AND "calls"."createdAt" < CAST('2026-11-01 00:00:00+00' AS TIMESTAMPTZ)
)
SELECT g0, SUM(v0) AS m0, AVG(v1) AS m1, SUM(CASE WHEN ended < started THEN 1 ELSE 0 END) AS w, SUM(CASE WHEN started IS NULL OR ended IS NULL THEN 1 ELSE 0 END) AS u
FROM in_range
GROUP BY g0;

-- postgres: chosen calls
-- (
--     vq.call()
--     .count()
--     .where({"variable.plan": ["pro", "it's", None]}, type="webCall")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT "calls"."id" IS NULL AS without_id
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= CAST('2026-10-01 00:00:00+00' AS TIMESTAMPTZ) AND "calls"."createdAt" < CAST('2026-11-01 00:00:00+00' AS TIMESTAMPTZ) AND CAST("calls"."type" AS TEXT) COLLATE "C" IN ('webCall') AND (CAST(CASE jsonb_typeof(CAST((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') AS JSONB)) WHEN 'string' THEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') WHEN 'number' THEN CASE WHEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') ~ '^(0|-?[1-9][0-9]{0,18})$' THEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') ELSE CASE WHEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') ~ '^-?[0-9]{16}[.]0+$' THEN CASE WHEN abs(CAST(((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') AS DOUBLE PRECISION)) < 9007199254740992 THEN split_part(((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}'), '.', 1) ELSE ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') END ELSE CAST(CAST(((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') AS DOUBLE PRECISION) + 0 AS TEXT) END END WHEN 'boolean' THEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') WHEN 'object' THEN regexp_replace(CAST(CAST((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') AS JSONB) AS TEXT), E'("([^"\\\\]|\\\\.)*")| ', E'\\1', 'g') WHEN 'array' THEN regexp_replace(CAST(CAST((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') AS JSONB) AS TEXT), E'("([^"\\\\]|\\\\.)*")| ', E'\\1', 'g') END AS TEXT) COLLATE "C" IN ('pro', convert_from(decode('69742773', 'hex'), 'UTF8')) OR CAST(CASE jsonb_typeof(CAST((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') AS JSONB)) WHEN 'string' THEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') WHEN 'number' THEN CASE WHEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') ~ '^(0|-?[1-9][0-9]{0,18})$' THEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') ELSE CASE WHEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') ~ '^-?[0-9]{16}[.]0+$' THEN CASE WHEN abs(CAST(((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') AS DOUBLE PRECISION)) < 9007199254740992 THEN split_part(((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}'), '.', 1) ELSE ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') END ELSE CAST(CAST(((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') AS DOUBLE PRECISION) + 0 AS TEXT) END END WHEN 'boolean' THEN ((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') #>> '{}') WHEN 'object' THEN regexp_replace(CAST(CAST((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') AS JSONB) AS TEXT), E'("([^"\\\\]|\\\\.)*")| ', E'\\1', 'g') WHEN 'array' THEN regexp_replace(CAST(CAST((CAST(coalesce((CAST("calls"."artifact" AS JSONB) -> 'variableValues'), CAST("calls"."artifact" AS JSONB) -> CASE WHEN jsonb_typeof(CAST("calls"."artifact" AS JSONB)) NOT IN ('object', 'null') THEN CAST(CAST(convert_from(decode('1f61727469666163741f6f626a6563741f', 'hex'), 'UTF8') || CAST("calls"."artifact" AS TEXT) || chr(31) AS BIGINT) AS TEXT) END) AS JSONB) -> 'plan') AS JSONB) AS TEXT), E'("([^"\\\\]|\\\\.)*")| ', E'\\1', 'g') END AS TEXT) COLLATE "C" IS NULL)
)
SELECT COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x, COUNT(*) AS n
FROM in_range;

-- postgres: the history of calls at once
-- vq.subscription().history("concurrency").between("2026-11-01", "2026-11-02")
WITH intervals AS (
  SELECT "calls"."startedAt" AS s, "calls"."endedAt" AS f, CASE WHEN CAST("calls"."status" AS TEXT) COLLATE "C" IN ('ended', 'not-found', 'deletion-failed') OR CAST("calls"."endedReason" AS TEXT) COLLATE "C" <> '' THEN 1 ELSE 0 END AS is_over
  FROM "calls" AS "calls"
), active AS (
  SELECT CASE WHEN s < CAST('2026-11-01 00:00:00' AS TIMESTAMP) THEN CAST('2026-11-01 00:00:00' AS TIMESTAMP) ELSE s END AS b, f
  FROM intervals
  WHERE s < CAST('2026-11-02 00:00:00' AS TIMESTAMP) AND ((f > s AND f > CAST('2026-11-01 00:00:00' AS TIMESTAMP)) OR (f IS NULL AND is_over = 0))
), intervals_again AS (
  SELECT "calls"."startedAt" AS s, "calls"."endedAt" AS f, CASE WHEN CAST("calls"."status" AS TEXT) COLLATE "C" IN ('ended', 'not-found', 'deletion-failed') OR CAST("calls"."endedReason" AS TEXT) COLLATE "C" <> '' THEN 1 ELSE 0 END AS is_over
  FROM "calls" AS "calls"
), ended AS (
  SELECT f
  FROM intervals_again
  WHERE f > s AND f > CAST('2026-11-01 00:00:00' AS TIMESTAMP) AND f < CAST('2026-11-02 00:00:00' AS TIMESTAMP)
), changed AS (
  SELECT CASE WHEN b < TIMESTAMP '2100-01-01 00:00:00+00' AND b >= TIMESTAMP '1900-01-01 00:00:00+00' THEN CAST(round(date_part('epoch', b) * 1000000) AS BIGINT) ELSE CAST(extract(epoch FROM b) * 1000000 AS BIGINT) END AS t, 1 AS d
  FROM active
  UNION ALL
  SELECT CASE WHEN f < TIMESTAMP '2100-01-01 00:00:00+00' AND f >= TIMESTAMP '1900-01-01 00:00:00+00' THEN CAST(round(date_part('epoch', f) * 1000000) AS BIGINT) ELSE CAST(extract(epoch FROM f) * 1000000 AS BIGINT) END AS t, -1 AS d
  FROM ended
)
SELECT t, SUM(d) AS net
FROM changed
GROUP BY t;

-- clickhouse: calls a day in New York
-- (
--     vq.call()
--     .count()
--     .step("day")
--     .between("2026-10-28", "2026-11-05")
--     .tz("America/New_York")
-- )
WITH in_range AS (
  SELECT intDiv(toUnixTimestamp64Micro(CAST("calls"."createdAt" AS Nullable(DateTime64(6)))), 1000000) AS e, "calls"."id" IS NULL AS without_id
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= fromUnixTimestamp64Micro(1793160000000000, 'UTC') AND "calls"."createdAt" < fromUnixTimestamp64Micro(1793854800000000, 'UTC')
), on_clock AS (
  SELECT e, e + CASE WHEN e < 1793512800 THEN -14400 ELSE -18000 END AS l, without_id
  FROM in_range
), in_buckets AS (
  SELECT l - l % 86400 AS g0, without_id
  FROM on_clock
)
SELECT g0, COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_buckets
GROUP BY g0;

-- clickhouse: what parts cost, by plan
-- (
--     vq.call()
--     .sum("costBreakdown.llm")
--     .avg("duration")
--     .by_variable("plan")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT CAST(if(mapContains(tupleElement("calls"."artifact", 'variableValues'), 'plan'), tupleElement("calls"."artifact", 'variableValues')['plan'], NULL) AS Nullable(String)) AS g0, CAST(tupleElement("calls"."costBreakdown", 'llm') AS Nullable(Float64)) AS v0, (toUnixTimestamp64Micro(CAST("calls"."endedAt" AS Nullable(DateTime64(6)))) - toUnixTimestamp64Micro(CAST("calls"."startedAt" AS Nullable(DateTime64(6))))) / CAST(60000000.0 AS Nullable(Float64)) AS v1, "calls"."startedAt" AS started, "calls"."endedAt" AS ended
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= fromUnixTimestamp64Micro(1790812800000000, 'UTC') AND "calls"."createdAt" < fromUnixTimestamp64Micro(1793491200000000, 'UTC')
)
SELECT g0, SUM(v0) AS m0, AVG(v1) AS m1, SUM(CASE WHEN ended < started THEN 1 ELSE 0 END) AS w, SUM(CASE WHEN started IS NULL OR ended IS NULL THEN 1 ELSE 0 END) AS u
FROM in_range
GROUP BY g0;

-- clickhouse: chosen calls
-- (
--     vq.call()
--     .count()
--     .where({"variable.plan": ["pro", "it's", None]}, type="webCall")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT "calls"."id" IS NULL AS without_id
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= fromUnixTimestamp64Micro(1790812800000000, 'UTC') AND "calls"."createdAt" < fromUnixTimestamp64Micro(1793491200000000, 'UTC') AND CAST("calls"."type" AS Nullable(String)) IN ('webCall') AND (CAST(if(mapContains(tupleElement("calls"."artifact", 'variableValues'), 'plan'), tupleElement("calls"."artifact", 'variableValues')['plan'], NULL) AS Nullable(String)) IN ('pro', unhex('69742773')) OR CAST(if(mapContains(tupleElement("calls"."artifact", 'variableValues'), 'plan'), tupleElement("calls"."artifact", 'variableValues')['plan'], NULL) AS Nullable(String)) IS NULL)
)
SELECT COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x, COUNT(*) AS n
FROM in_range;

-- clickhouse: the history of calls at once
-- vq.subscription().history("concurrency").between("2026-11-01", "2026-11-02")
WITH intervals AS (
  SELECT "calls"."startedAt" AS s, "calls"."endedAt" AS f, CASE WHEN CAST("calls"."status" AS Nullable(String)) IN ('ended', 'not-found', 'deletion-failed') OR CAST("calls"."endedReason" AS Nullable(String)) <> '' THEN 1 ELSE 0 END AS is_over
  FROM "calls" AS "calls"
), active AS (
  SELECT CASE WHEN s < fromUnixTimestamp64Micro(1793491200000000, 'UTC') THEN fromUnixTimestamp64Micro(1793491200000000, 'UTC') ELSE s END AS b, f
  FROM intervals
  WHERE s < fromUnixTimestamp64Micro(1793577600000000, 'UTC') AND ((f > s AND f > fromUnixTimestamp64Micro(1793491200000000, 'UTC')) OR (f IS NULL AND is_over = 0))
), sides AS (
  SELECT b, f, arrayJoin([1, -1]) AS d
  FROM active
), changed AS (
  SELECT assumeNotNull(toUnixTimestamp64Micro(CAST(CASE WHEN d = 1 THEN b ELSE f END AS Nullable(DateTime64(6))))) AS t, d
  FROM sides
  WHERE d = 1 OR f < fromUnixTimestamp64Micro(1793577600000000, 'UTC')
)
SELECT t, SUM(d) AS net
FROM changed
GROUP BY t;

-- duckdb: calls a day in New York
-- (
--     vq.call()
--     .count()
--     .step("day")
--     .between("2026-10-28", "2026-11-05")
--     .tz("America/New_York")
-- )
WITH in_range AS (
  SELECT epoch_us("calls"."createdAt") // 1000000 AS e, CAST("calls"."id" AS VARCHAR) COLLATE C IS NULL AS without_id
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= CAST('2026-10-28 04:00:00+00' AS TIMESTAMPTZ) AND "calls"."createdAt" < CAST('2026-11-05 05:00:00+00' AS TIMESTAMPTZ)
), on_clock AS (
  SELECT e, e + CASE WHEN e < 1793512800 THEN -14400 ELSE -18000 END AS l, without_id
  FROM in_range
), in_buckets AS (
  SELECT l - l % 86400 AS g0, without_id
  FROM on_clock
)
SELECT g0, COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_buckets
GROUP BY g0;

-- duckdb: what parts cost, by plan
-- (
--     vq.call()
--     .sum("costBreakdown.llm")
--     .avg("duration")
--     .by_variable("plan")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT CAST(struct_extract("calls"."artifact", 'variableValues')['plan'] AS VARCHAR) COLLATE C AS g0, CASE WHEN isfinite(struct_extract("calls"."costBreakdown", 'llm')) THEN struct_extract("calls"."costBreakdown", 'llm') WHEN isinf(struct_extract("calls"."costBreakdown", 'llm')) THEN error('costBreakdown.llmnumber' || coalesce(CAST(struct_extract("calls"."costBreakdown", 'llm') AS VARCHAR), '') || '') END AS v0, (epoch_us("calls"."endedAt") - epoch_us("calls"."startedAt")) / CAST(60000000.0 AS DOUBLE) AS v1
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= CAST('2026-10-01 00:00:00+00' AS TIMESTAMPTZ) AND "calls"."createdAt" < CAST('2026-11-01 00:00:00+00' AS TIMESTAMPTZ)
)
SELECT g0, SUM(v0) AS m0, AVG(v1) AS m1, SUM(CASE WHEN v1 < 0 THEN 1 ELSE 0 END) AS w, COUNT(*) - COUNT(v1) AS u
FROM in_range
GROUP BY g0;

-- duckdb: chosen calls
-- (
--     vq.call()
--     .count()
--     .where({"variable.plan": ["pro", "it's", None]}, type="webCall")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT CAST("calls"."id" AS VARCHAR) COLLATE C IS NULL AS without_id
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= CAST('2026-10-01 00:00:00+00' AS TIMESTAMPTZ) AND "calls"."createdAt" < CAST('2026-11-01 00:00:00+00' AS TIMESTAMPTZ) AND CAST("calls"."type" AS VARCHAR) COLLATE C IN ('webCall') AND (CAST(struct_extract("calls"."artifact", 'variableValues')['plan'] AS VARCHAR) COLLATE C IN ('pro', decode(unhex('69742773'))) OR CAST(struct_extract("calls"."artifact", 'variableValues')['plan'] AS VARCHAR) COLLATE C IS NULL)
)
SELECT COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x, COUNT(*) AS n
FROM in_range;

-- duckdb: the history of calls at once
-- vq.subscription().history("concurrency").between("2026-11-01", "2026-11-02")
WITH intervals AS (
  SELECT "calls"."startedAt" AS s, "calls"."endedAt" AS f, CASE WHEN CAST("calls"."status" AS VARCHAR) COLLATE C IN ('ended', 'not-found', 'deletion-failed') OR CAST("calls"."endedReason" AS VARCHAR) COLLATE C <> '' THEN 1 ELSE 0 END AS is_over
  FROM "calls" AS "calls"
), active AS (
  SELECT CASE WHEN s < CAST('2026-11-01 00:00:00' AS TIMESTAMP) THEN CAST('2026-11-01 00:00:00' AS TIMESTAMP) ELSE s END AS b, f
  FROM intervals
  WHERE s < CAST('2026-11-02 00:00:00' AS TIMESTAMP) AND ((f > s AND f > CAST('2026-11-01 00:00:00' AS TIMESTAMP)) OR (f IS NULL AND is_over = 0))
), intervals_again AS (
  SELECT "calls"."startedAt" AS s, "calls"."endedAt" AS f, CASE WHEN CAST("calls"."status" AS VARCHAR) COLLATE C IN ('ended', 'not-found', 'deletion-failed') OR CAST("calls"."endedReason" AS VARCHAR) COLLATE C <> '' THEN 1 ELSE 0 END AS is_over
  FROM "calls" AS "calls"
), ended AS (
  SELECT f
  FROM intervals_again
  WHERE f > s AND f > CAST('2026-11-01 00:00:00' AS TIMESTAMP) AND f < CAST('2026-11-02 00:00:00' AS TIMESTAMP)
), changed AS (
  SELECT epoch_us(b) AS t, 1 AS d
  FROM active
  UNION ALL
  SELECT epoch_us(f) AS t, -1 AS d
  FROM ended
)
SELECT t, SUM(d) AS net
FROM changed
GROUP BY t;

-- bigquery: calls a day in New York
-- (
--     vq.call()
--     .count()
--     .step("day")
--     .between("2026-10-28", "2026-11-05")
--     .tz("America/New_York")
-- )
WITH in_range AS (
  SELECT DIV(UNIX_MICROS(`calls`.`createdAt`), 1000000) AS e, `calls`.`id` IS NULL AS without_id
  FROM `calls` AS `calls`
  WHERE `calls`.`createdAt` >= TIMESTAMP_MICROS(1793160000000000) AND `calls`.`createdAt` < TIMESTAMP_MICROS(1793854800000000)
), on_clock AS (
  SELECT e, e + CASE WHEN e < 1793512800 THEN -14400 ELSE -18000 END AS l, without_id
  FROM in_range
), in_buckets AS (
  SELECT l - MOD(l, 86400) AS g0, without_id
  FROM on_clock
)
SELECT g0, COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_buckets
GROUP BY g0;

-- bigquery: what parts cost, by plan
-- (
--     vq.call()
--     .sum("costBreakdown.llm")
--     .avg("duration")
--     .by_variable("plan")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT CAST(CAST(JSON_VALUE(`calls`.`artifact`.`variableValues`['plan']) AS STRING) AS STRING) AS g0, IF(IS_NAN(CAST(`calls`.`costBreakdown`.`llm` AS FLOAT64)), NULL, CAST(`calls`.`costBreakdown`.`llm` AS FLOAT64)) AS v0, (UNIX_MICROS(TIMESTAMP(`calls`.`endedAt`, 'UTC')) - UNIX_MICROS(TIMESTAMP(`calls`.`startedAt`, 'UTC'))) / CAST(60000000.0 AS FLOAT64) AS v1, `calls`.`startedAt` AS started, `calls`.`endedAt` AS ended
  FROM `calls` AS `calls`
  WHERE `calls`.`createdAt` >= TIMESTAMP_MICROS(1790812800000000) AND `calls`.`createdAt` < TIMESTAMP_MICROS(1793491200000000)
)
SELECT g0, SUM(v0) AS m0, AVG(v1) AS m1, SUM(CASE WHEN ended < started THEN 1 ELSE 0 END) AS w, SUM(CASE WHEN started IS NULL OR ended IS NULL THEN 1 ELSE 0 END) AS u
FROM in_range
GROUP BY g0;

-- bigquery: chosen calls
-- (
--     vq.call()
--     .count()
--     .where({"variable.plan": ["pro", "it's", None]}, type="webCall")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT `calls`.`id` IS NULL AS without_id
  FROM `calls` AS `calls`
  WHERE `calls`.`createdAt` >= TIMESTAMP_MICROS(1790812800000000) AND `calls`.`createdAt` < TIMESTAMP_MICROS(1793491200000000) AND CAST(`calls`.`type` AS STRING) IN ('webCall') AND (CAST(CAST(JSON_VALUE(`calls`.`artifact`.`variableValues`['plan']) AS STRING) AS STRING) IN ('pro', CAST(FROM_HEX('69742773') AS STRING)) OR CAST(CAST(JSON_VALUE(`calls`.`artifact`.`variableValues`['plan']) AS STRING) AS STRING) IS NULL)
)
SELECT COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x, COUNT(*) AS n
FROM in_range;

-- bigquery: the history of calls at once
-- vq.subscription().history("concurrency").between("2026-11-01", "2026-11-02")
WITH intervals AS (
  SELECT `calls`.`startedAt` AS s, `calls`.`endedAt` AS f, CASE WHEN CAST(`calls`.`status` AS STRING) IN ('ended', 'not-found', 'deletion-failed') OR CAST(`calls`.`endedReason` AS STRING) <> '' THEN 1 ELSE 0 END AS is_over
  FROM `calls` AS `calls`
), active AS (
  SELECT CASE WHEN s < DATETIME(TIMESTAMP_MICROS(1793491200000000), 'UTC') THEN DATETIME(TIMESTAMP_MICROS(1793491200000000), 'UTC') ELSE s END AS b, f
  FROM intervals
  WHERE s < DATETIME(TIMESTAMP_MICROS(1793577600000000), 'UTC') AND ((f > s AND f > DATETIME(TIMESTAMP_MICROS(1793491200000000), 'UTC')) OR (f IS NULL AND is_over = 0))
), intervals_again AS (
  SELECT `calls`.`startedAt` AS s, `calls`.`endedAt` AS f, CASE WHEN CAST(`calls`.`status` AS STRING) IN ('ended', 'not-found', 'deletion-failed') OR CAST(`calls`.`endedReason` AS STRING) <> '' THEN 1 ELSE 0 END AS is_over
  FROM `calls` AS `calls`
), ended AS (
  SELECT f
  FROM intervals_again
  WHERE f > s AND f > DATETIME(TIMESTAMP_MICROS(1793491200000000), 'UTC') AND f < DATETIME(TIMESTAMP_MICROS(1793577600000000), 'UTC')
), changed AS (
  SELECT UNIX_MICROS(TIMESTAMP(b, 'UTC')) AS t, 1 AS d
  FROM active
  UNION ALL
  SELECT UNIX_MICROS(TIMESTAMP(f, 'UTC')) AS t, -1 AS d
  FROM ended
)
SELECT t, SUM(d) AS net
FROM changed
GROUP BY t;

-- snowflake: calls a day in New York
-- (
--     vq.call()
--     .count()
--     .step("day")
--     .between("2026-10-28", "2026-11-05")
--     .tz("America/New_York")
-- )
WITH in_range AS (
  SELECT FLOOR(DATE_PART(epoch_microsecond, "calls"."createdAt") / 1000000) AS e, "calls"."id" IS NULL AS without_id
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= TO_TIMESTAMP_LTZ(1793160000000000, 6) AND "calls"."createdAt" < TO_TIMESTAMP_LTZ(1793854800000000, 6)
), on_clock AS (
  SELECT e, e + CASE WHEN e < 1793512800 THEN -14400 ELSE -18000 END AS l, without_id
  FROM in_range
), in_buckets AS (
  SELECT l - l % 86400 AS g0, without_id
  FROM on_clock
)
SELECT g0, COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_buckets
GROUP BY g0;

-- snowflake: what parts cost, by plan
-- (
--     vq.call()
--     .sum("costBreakdown.llm")
--     .avg("duration")
--     .by_variable("plan")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT CAST(CAST("calls"."artifact"['variableValues']['plan'] AS VARCHAR) AS VARCHAR) AS g0, NULLIF(CAST("calls"."costBreakdown"['llm'] AS DOUBLE), CAST('NaN' AS DOUBLE)) AS v0, (DATE_PART(epoch_microsecond, "calls"."endedAt") - DATE_PART(epoch_microsecond, "calls"."startedAt")) / CAST(60000000.0 AS DOUBLE) AS v1, "calls"."startedAt" AS started, "calls"."endedAt" AS ended
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= TO_TIMESTAMP_LTZ(1790812800000000, 6) AND "calls"."createdAt" < TO_TIMESTAMP_LTZ(1793491200000000, 6)
)
SELECT g0, SUM(v0) AS m0, AVG(v1) AS m1, SUM(CASE WHEN ended < started THEN 1 ELSE 0 END) AS w, SUM(CASE WHEN started IS NULL OR ended IS NULL THEN 1 ELSE 0 END) AS u
FROM in_range
GROUP BY g0;

-- snowflake: chosen calls
-- (
--     vq.call()
--     .count()
--     .where({"variable.plan": ["pro", "it's", None]}, type="webCall")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT "calls"."id" IS NULL AS without_id
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= TO_TIMESTAMP_LTZ(1790812800000000, 6) AND "calls"."createdAt" < TO_TIMESTAMP_LTZ(1793491200000000, 6) AND CAST("calls"."type" AS VARCHAR) IN ('webCall') AND (CAST(CAST("calls"."artifact"['variableValues']['plan'] AS VARCHAR) AS VARCHAR) IN ('pro', HEX_DECODE_STRING('69742773')) OR CAST(CAST("calls"."artifact"['variableValues']['plan'] AS VARCHAR) AS VARCHAR) IS NULL)
)
SELECT COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x, COUNT(*) AS n
FROM in_range;

-- snowflake: the history of calls at once
-- vq.subscription().history("concurrency").between("2026-11-01", "2026-11-02")
WITH intervals AS (
  SELECT "calls"."startedAt" AS s, "calls"."endedAt" AS f, CASE WHEN CAST("calls"."status" AS VARCHAR) IN ('ended', 'not-found', 'deletion-failed') OR CAST("calls"."endedReason" AS VARCHAR) <> '' THEN 1 ELSE 0 END AS is_over
  FROM "calls" AS "calls"
), active AS (
  SELECT CASE WHEN s < TO_TIMESTAMP_NTZ(1793491200000000, 6) THEN TO_TIMESTAMP_NTZ(1793491200000000, 6) ELSE s END AS b, f
  FROM intervals
  WHERE s < TO_TIMESTAMP_NTZ(1793577600000000, 6) AND ((f > s AND f > TO_TIMESTAMP_NTZ(1793491200000000, 6)) OR (f IS NULL AND is_over = 0))
), intervals_again AS (
  SELECT "calls"."startedAt" AS s, "calls"."endedAt" AS f, CASE WHEN CAST("calls"."status" AS VARCHAR) IN ('ended', 'not-found', 'deletion-failed') OR CAST("calls"."endedReason" AS VARCHAR) <> '' THEN 1 ELSE 0 END AS is_over
  FROM "calls" AS "calls"
), ended AS (
  SELECT f
  FROM intervals_again
  WHERE f > s AND f > TO_TIMESTAMP_NTZ(1793491200000000, 6) AND f < TO_TIMESTAMP_NTZ(1793577600000000, 6)
), changed AS (
  SELECT DATE_PART(epoch_microsecond, b) AS t, 1 AS d
  FROM active
  UNION ALL
  SELECT DATE_PART(epoch_microsecond, f) AS t, -1 AS d
  FROM ended
)
SELECT t, SUM(d) AS net
FROM changed
GROUP BY t;

-- trino: calls a day in New York
-- (
--     vq.call()
--     .count()
--     .step("day")
--     .between("2026-10-28", "2026-11-05")
--     .tz("America/New_York")
-- )
WITH in_range AS (
  SELECT CAST(round(to_unixtime("calls"."createdAt") * 1000000) AS BIGINT) / 1000000 AS e, "calls"."id" IS NULL AS without_id
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= CAST('2026-10-28 04:00:00 UTC' AS TIMESTAMP(6) WITH TIME ZONE) AND "calls"."createdAt" < CAST('2026-11-05 05:00:00 UTC' AS TIMESTAMP(6) WITH TIME ZONE)
), on_clock AS (
  SELECT e, e + CASE WHEN e < 1793512800 THEN -14400 ELSE -18000 END AS l, without_id
  FROM in_range
), in_buckets AS (
  SELECT l - l % 86400 AS g0, without_id
  FROM on_clock
)
SELECT g0, COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x
FROM in_buckets
GROUP BY g0;

-- trino: what parts cost, by plan
-- (
--     vq.call()
--     .sum("costBreakdown.llm")
--     .avg("duration")
--     .by_variable("plan")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT CAST(element_at("calls"."artifact"."variableValues", 'plan') AS VARCHAR) AS g0, if(is_nan(CAST("calls"."costBreakdown"."llm" AS DOUBLE)), NULL, CAST("calls"."costBreakdown"."llm" AS DOUBLE)) AS v0, (CAST(round(to_unixtime(with_timezone("calls"."endedAt", 'UTC')) * 1000000) AS BIGINT) - CAST(round(to_unixtime(with_timezone("calls"."startedAt", 'UTC')) * 1000000) AS BIGINT)) / CAST(60000000.0 AS DOUBLE) AS v1, "calls"."startedAt" AS started, "calls"."endedAt" AS ended
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= CAST('2026-10-01 00:00:00 UTC' AS TIMESTAMP(6) WITH TIME ZONE) AND "calls"."createdAt" < CAST('2026-11-01 00:00:00 UTC' AS TIMESTAMP(6) WITH TIME ZONE)
)
SELECT g0, SUM(v0) AS m0, AVG(v1) AS m1, SUM(CASE WHEN ended < started THEN 1 ELSE 0 END) AS w, SUM(CASE WHEN started IS NULL OR ended IS NULL THEN 1 ELSE 0 END) AS u
FROM in_range
GROUP BY g0;

-- trino: chosen calls
-- (
--     vq.call()
--     .count()
--     .where({"variable.plan": ["pro", "it's", None]}, type="webCall")
--     .between("2026-10-01", "2026-11-01")
-- )
WITH in_range AS (
  SELECT "calls"."id" IS NULL AS without_id
  FROM "calls" AS "calls"
  WHERE "calls"."createdAt" >= CAST('2026-10-01 00:00:00 UTC' AS TIMESTAMP(6) WITH TIME ZONE) AND "calls"."createdAt" < CAST('2026-11-01 00:00:00 UTC' AS TIMESTAMP(6) WITH TIME ZONE) AND CAST("calls"."type" AS VARCHAR) IN ('webCall') AND (CAST(element_at("calls"."artifact"."variableValues", 'plan') AS VARCHAR) IN ('pro', from_utf8(from_hex('69742773'))) OR CAST(element_at("calls"."artifact"."variableValues", 'plan') AS VARCHAR) IS NULL)
)
SELECT COUNT(*) AS m0, SUM(CASE WHEN without_id THEN 1 ELSE 0 END) AS x, COUNT(*) AS n
FROM in_range;

-- trino: the history of calls at once
-- vq.subscription().history("concurrency").between("2026-11-01", "2026-11-02")
WITH intervals AS (
  SELECT "calls"."startedAt" AS s, "calls"."endedAt" AS f, CASE WHEN CAST("calls"."status" AS VARCHAR) IN ('ended', 'not-found', 'deletion-failed') OR CAST("calls"."endedReason" AS VARCHAR) <> '' THEN 1 ELSE 0 END AS is_over
  FROM "calls" AS "calls"
), active AS (
  SELECT CASE WHEN s < CAST('2026-11-01 00:00:00' AS TIMESTAMP(6)) THEN CAST('2026-11-01 00:00:00' AS TIMESTAMP(6)) ELSE s END AS b, f
  FROM intervals
  WHERE s < CAST('2026-11-02 00:00:00' AS TIMESTAMP(6)) AND ((f > s AND f > CAST('2026-11-01 00:00:00' AS TIMESTAMP(6))) OR (f IS NULL AND is_over = 0))
), intervals_again AS (
  SELECT "calls"."startedAt" AS s, "calls"."endedAt" AS f, CASE WHEN CAST("calls"."status" AS VARCHAR) IN ('ended', 'not-found', 'deletion-failed') OR CAST("calls"."endedReason" AS VARCHAR) <> '' THEN 1 ELSE 0 END AS is_over
  FROM "calls" AS "calls"
), ended AS (
  SELECT f
  FROM intervals_again
  WHERE f > s AND f > CAST('2026-11-01 00:00:00' AS TIMESTAMP(6)) AND f < CAST('2026-11-02 00:00:00' AS TIMESTAMP(6))
), changed AS (
  SELECT CAST(round(to_unixtime(with_timezone(b, 'UTC')) * 1000000) AS BIGINT) AS t, 1 AS d
  FROM active
  UNION ALL
  SELECT CAST(round(to_unixtime(with_timezone(f, 'UTC')) * 1000000) AS BIGINT) AS t, -1 AS d
  FROM ended
)
SELECT t, SUM(d) AS net
FROM changed
GROUP BY t;
