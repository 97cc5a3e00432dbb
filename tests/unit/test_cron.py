"""Cron expressions beside croniter, and what EventBridge is told beside aws-croniter."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta, timezone
from functools import cache
from itertools import takewhile

import pytest
from aws_croniter import AwsCroniter
from croniter import croniter

from fal_serverless import cron
from fal_serverless.errors import UsageError

START = datetime(2027, 1, 1, 0, 3, 30, tzinfo=timezone.utc)
FIRST, LAST = datetime(2027, 1, 1, tzinfo=timezone.utc), datetime(2029, 1, 1, tzinfo=timezone.utc)
"""Two years with a 29th of February."""

ACCEPTED = """
* * * * *
0 * * * *
0 0 * * *
*/1 * * * *
*/5 * * * *
*/7 * * * *
*/25 * * * *
*/59 * * * *
5/15 * * * *
7/20 * * * *
0/30 * * * *
10-20 * * * *
10-20/3 * * * *
0-59/2 * * * *
1,2,3,5,8,13 * * * *
0,30-35,50-58/4 * * * *
50-10 * * * *
0-1,3-4,6-7,9-10,12-13,15-16,18-19 * * * *
30 9 * * *
0 */2 * * *
0 */5 * * *
0 1/4 * * *
0 9-17 * * *
0 22-2 * * *
*/10 9-17 * * *
15 0,12 * * *
0 0 1 * *
0 0 31 * *
0 0 30 * *
0 0 29 * *
0 0 28-31 * *
0 0 25-5 * *
0 0 */2 * *
0 0 */10 * *
0 0 2/3 * *
0 0 1,15 * *
0 0 29 2 *
0 0 30 2,3 *
0 0 31 4,5 *
0 0 ? * *
0 0 1 1 *
0 0 1 */3 *
0 0 1 2/3 *
0 0 1 JAN,jul *
0 0 1 OCT-DEC *
0 0 * NOV-FEB *
0 0 1 11-2 *
0 0 * * 0
0 0 * * 7
0 0 * * SUN
0 0 * * 6,7
0 0 * * 1-5
0 9 * * MON-FRI
0 9 * * mon,wed,FRI
0 0 * * 0-7
0 0 * * 5-7
0 0 * * 6-0
0 0 * * FRI-MON
0 0 * * */2
0 0 * * */3
0 0 * * 1-7/2
0 0 * * 0-7/2
0 0 * * 1-6/3
0 0 ? * 1
0 0 * * ?
0 0 13 * 5
0 0 13 * FRI
*/20 8,20 1,15 * MON-WED
0 0 1-7 * 1
0 0 31 * 7
0 0 29 2 MON
0 0 30 2 5
0 0 31 2,4,6 0,3
0 0 5,*/10 * 1
0 0 13 * 0-6
0 0 1-31 * 1
0 0 1,15 */2 TUE,THU
3 3 28-31 12-1 SAT-SUN
@hourly
@daily
@midnight
@weekly
@monthly
@yearly
@annually
""".strip().splitlines()


@cache
def theirs(text: str, first: datetime, until: datetime) -> list[datetime]:
    """Times of an expression by croniter, ``first`` excluded."""
    found = croniter(text, first, ret_type=datetime)
    return list(takewhile(lambda moment: moment < until, iter(found.get_next, None)))


def fields(text: str) -> list[str]:
    return cron.MACROS.get(text, text).split()


def matches(rule: AwsCroniter, day: date) -> bool:
    """Whether EventBridge's expression, as the library reads it, counts a day; SUN is 1."""
    if day.month not in rule.months:
        return False
    if rule.days_of_month:
        return day.day in rule.days_of_month
    return day.isoweekday() % 7 + 1 in rule.days_of_week


def read(rule: cron.Rule) -> AwsCroniter:
    assert rule.expression.startswith("cron(")
    assert rule.expression.endswith(")")
    return AwsCroniter(rule.expression[5:-1])


def test_the_table_is_long_enough():
    assert len(set(ACCEPTED)) == len(ACCEPTED) >= 60


@pytest.mark.parametrize("text", ACCEPTED)
def test_the_next_runs_are_crons(text):
    reference = croniter(text, START, ret_type=datetime)
    expected = [reference.get_next() for _ in range(5)]
    # croniter finds the last Fridays of a February before the first ones of the next.
    assert list(cron.next_runs(cron.parse(text), START, 5)) == sorted(expected)


@pytest.mark.parametrize("text", ACCEPTED)
def test_eventbridge_runs_each_day_of_two_years_once_as_cron_does(text):
    made = [(read(rule), rule.except_days) for rule in cron.rules(cron.parse(text))]
    days = [(FIRST + timedelta(days=n)).date() for n in range((LAST - FIRST).days)]
    fired = Counter(
        day
        for rule, excepted in made
        for day in days
        if matches(rule, day) and day.day not in excepted
    )
    before = FIRST - timedelta(minutes=1)
    midnights = theirs(" ".join(["0", "0", *fields(text)[2:]]), before, LAST)
    assert fired == Counter({moment.date() for moment in midnights})


@pytest.mark.parametrize("text", ACCEPTED)
def test_eventbridge_runs_at_crons_times_of_the_day(text):
    midnight = START.replace(hour=0, minute=0, second=0)
    once = " ".join([*fields(text)[:2], "*", "*", "*"])
    of_day = theirs(once, midnight - timedelta(minutes=1), midnight + timedelta(days=1))
    for rule in map(read, cron.rules(cron.parse(text))):
        assert sorted((hour, minute) for hour in rule.hours for minute in rule.minutes) == [
            (moment.hour, moment.minute) for moment in of_day
        ]


@pytest.mark.parametrize("text", [text for text in ACCEPTED if text != "0 0 29 2 *"])
def test_eventbridges_next_runs_by_its_own_library(text):
    # The library gives up after the ten months without a day that a leap year takes.
    found: set[datetime] = set()
    for rule in cron.rules(cron.parse(text)):
        runs = read(rule).get_next(START, 12)
        found |= {run for run in runs if run and run.day not in rule.except_days}
    assert list(cron.next_runs(cron.parse(text), START, 5)) == sorted(found)[:5]


def test_days_that_both_fields_name_run_once():
    day, weekday = cron.rules(cron.parse("0 0 13 * FRI"))
    assert (day.expression, day.except_days) == ("cron(0 0 13 * ? *)", ())
    assert (weekday.expression, weekday.except_days) == ("cron(0 0 ? * FRI *)", (13,))
    assert {day.part, weekday.part} == {"d", "w"}


def test_a_day_that_never_is_leaves_the_weekdays():
    (rule,) = cron.rules(cron.parse("0 0 30 2 5"))
    assert rule.expression == "cron(0 0 ? 2 FRI *)"


def test_runs_are_in_utc_whatever_the_clock():
    elsewhere = START.astimezone(timezone(timedelta(hours=5, minutes=30)))
    (run,) = cron.next_runs(cron.parse("0 9 * * *"), elsewhere)
    assert run == datetime(2027, 1, 1, 9, tzinfo=timezone.utc)
    assert run.utcoffset() == timedelta(0)


def test_leap_days_over_a_century_without_one():
    found = cron.next_runs(cron.parse("0 0 29 2 *"), datetime(2095, 1, 1, tzinfo=timezone.utc), 3)
    assert [moment.year for moment in found] == [2096, 2104, 2108]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("*/5 * * * *", "0-59/5  *\t* * *"),
        ("0 0 * * 0", "0 0 * * 7"),
        ("0 0 * * MON-FRI", "0 0 ? * 1,2,3,4,5"),
        ("@daily", "0 0 * * 0-6"),
        ("@Daily", "0 0 1-31 1-12 *"),
    ],
)
def test_equal_times_are_equal_values(one, other):
    assert cron.parse(one) == cron.parse(other)


def test_the_longest_expression_fits():
    pairs = ",".join(f"{n}-{n + 1}" for n in range(0, 59, 3))
    hours = ",".join(f"{n}-{n + 1}" for n in range(0, 23, 3))
    days = ",".join(f"{n}-{n + 1}" for n in range(1, 31, 3))
    months = ",".join(f"{n}-{n + 1}" for n in range(1, 12, 3))
    (rule,) = cron.rules(cron.parse(f"{pairs} {hours} {days} {months} *"))
    assert 200 < len(rule.expression) <= cron.EXPRESSION_MAX


REFUSED = [
    ("", "0 fields", "for example"),
    ("* * * *", "4 fields", "for example"),
    ("0 * * * * *", "6 fields", "for example"),
    ("0 0 12 * * MON 2030", "7 fields", "for example"),
    ("60 * * * *", "'60' is no minute", "0 to 59"),
    ("0 24 * * *", "'24' is no hour", "0 to 23"),
    ("0 0 0 * *", "'0' is no day of the month", "1 to 31"),
    ("0 0 32 * *", "'32' is no day of the month", "1 to 31"),
    ("0 0 * 0 *", "'0' is no month", "JAN to DEC"),
    ("0 0 * 13 *", "'13' is no month", "JAN to DEC"),
    ("0 0 * * 8", "'8' is no day of the week", "SUN to SAT"),
    ("0 0 * * FUN", "'FUN' is no day of the week", "SUN to SAT"),
    ("0 0 * MON *", "'MON' is no month", "JAN to DEC"),
    ("MON * * * *", "'MON' is no minute", "0 to 59"),
    ("1- * * * *", "'' in '1-' is no minute", "0 to 59"),
    ("-1 * * * *", "'' in '-1' is no minute", "0 to 59"),
    ("1-5-7 * * * *", "'5-7' in '1-5-7'", "0 to 59"),
    ("1,,2 * * * *", "'' is no minute", "0 to 59"),
    ("1.5 * * * *", "'1.5' is no minute", "0 to 59"),
    ("٣ * * * *", "is no minute", "0 to 59"),
    ("*/0 * * * *", "step of '*/0'", "'*/15'"),
    ("*/x * * * *", "step of '*/x'", "'*/15'"),
    ("*/ * * * *", "step of '*/'", "'*/15'"),
    ("*/90 * * * *", "never takes a step", "write '0'"),
    ("55/10 * * * *", "never takes a step", "write '55'"),
    ("0 */24 * * *", "never takes a step", "write '0'"),
    ("0 0 * * */7", "never takes a step", "write '0'"),
    ("0 0 * * 1/2", "Saturday or with Sunday", "1-6/2, or 1-7/2"),
    ("0 22-4/3 * * *", "in different ways", "22,1,4"),
    ("0,* * * * *", "and others beside", "'*' alone"),
    ("? * * * *", "not for the minute", "write '*'"),
    ("0 0 * ? *", "not for the month", "write '*'"),
    ("0 0 */2 * 1", "cannot ask for both", "0 0 1-31/2 * 1"),
    ("0 0 13 * */2", "cannot ask for both", "0 0 13 * 0-6/2"),
    ("0 0 */2 * */2", "cannot ask for both", "0 0 1-31/2 * 0-6/2"),
    ("0 0 30 2 *", "no such date", "28-31"),
    ("0 0 31 4,6,9,11 *", "no such date", "28-31"),
    ("0 0 L * *", "no 'L'", "28-31"),
    ("0 0 L-3 * *", "no 'L'", "28-31"),
    ("0 0 * * 5L", "no 'L'", "look at the date"),
    ("0 0 15W * *", "no 'W'", "look at the date"),
    ("0 0 LW * *", "no 'W'", "look at the date"),
    ("0 0 * * FRI#2", "no '#'", "'8-14'"),
    ("H * * * *", "no 'H'", "choose a number"),
    ("H(0-9) * * * *", "no 'H'", "choose a number"),
    ("H/15 * * * *", "no 'H'", "choose a number"),
    ("@reboot", "times of the clock", "@daily"),
    ("@fortnightly", "no such macro", "@daily"),
    ("cron(0 0 * * ? *)", "EventBridge's own", "five fields"),
    ("rate(5 minutes)", "EventBridge's own", "five fields"),
    ("at(2030-01-01T00:00:00)", "EventBridge's own", "five fields"),
]


@pytest.mark.parametrize(("text", "reason", "hint"), REFUSED, ids=[text for text, _, _ in REFUSED])
def test_what_cannot_be_said_is_refused_with_what_to_write(text, reason, hint):
    with pytest.raises(UsageError) as caught:
        cron.parse(text)
    assert "cannot be scheduled" in caught.value.message
    assert reason in caught.value.reason
    assert hint in caught.value.hint
    assert "\n" not in caught.value.reason + caught.value.hint
