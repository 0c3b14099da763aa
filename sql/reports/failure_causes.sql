-- Why jobs failed, the most frequent cause first, with its share of all failures and when it was seen (to the hour).
-- param: days integer = 7
\if :{?days} \else \set days 7 \endif
SELECT
    error_code,
    job_type,
    sum(failed)::bigint AS failed,
    round(100 * sum(failed) / sum(sum(failed)) OVER (), 1) AS percent_of_failures,
    min(at) AS first_hour,
    max(at) AS last_hour
FROM reporting.failures_v1
WHERE at > now() - make_interval(days => :days::integer)
    AND failed > 0
GROUP BY error_code, job_type
ORDER BY failed DESC, error_code, job_type;
