"""Runs the SQL of docs/ACQUISITION-EVENTS.md over published events, and compares it with what was paid.

    python queries.py FOLDER DOCUMENT

FOLDER holds `events.ndjson` and `sent.json`, which the program beside this wrote. Every statement is taken out of the
page as it stands there; only the time of CURRENT_TIMESTAMP is set. Prints a line each query, then `# pass N` and
`# fail N`.
"""

import json
import re
import sys
from collections import defaultdict
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import duckdb
import sqlglot
from sqlglot import exp

EXPONENT = {"JPY": 0, "KWD": 3}
RATES = {"EUR": "1", "GBP": "0.860", "USD": "1.080", "JPY": "162.500", "ISK": "149.900"}


def money(payment, minor):
    return Decimal(minor).scaleb(-EXPONENT.get(payment["currency"], 2))


def when(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc)


def month_of(seconds):
    return when(seconds).strftime("%Y-%m")


class Sent:
    """What was paid, and what each query should say of it: rows by their keys."""

    def __init__(self, sent):
        self.payments = sent["payments"]
        self.now = sent["now"]

    def kept(self, payment):
        return money(payment, payment["amount"] + sum(moved["amount"] for moved in payment["corrections"]))

    def by(self, key, fields, payments=None):
        """Adds up fields, each a function of a payment, in groups."""
        rows = defaultdict(lambda: [0] * len(fields))
        for payment in self.payments if payments is None else payments:
            row = rows[key(payment)]
            for index, field in enumerate(fields):
                row[index] += field(payment)
        return dict(rows)

    def campaigns(self):
        first = datetime(2026, 11, 1, tzinfo=timezone.utc).timestamp()
        return self.by(
            lambda it: (it["campaign"] or "(none)", it["currency"]),
            [lambda it: 1, lambda it: money(it, it["amount"]), self.kept],
            [it for it in self.payments if it["at"] >= first],
        )

    def months(self):
        rows = defaultdict(lambda: [0, 0, 0, 0])
        for payment in self.payments:
            rows[month_of(payment["at"]), payment["currency"]][0] += money(payment, payment["amount"])
            rows[month_of(payment["at"]), payment["currency"]][3] += money(payment, payment["amount"])
            for moved in payment["corrections"]:
                row = rows[month_of(moved["at"]), payment["currency"]]
                row[1 if moved["cause"] == "refund" else 2] += money(payment, moved["amount"])
                row[3] += money(payment, moved["amount"])
        return dict(rows)

    def items(self):
        return self.by(
            lambda it: (it["product"], it["item"] or "(not named)", it["currency"]), [lambda it: 1, self.kept]
        )

    def taxes(self):
        def without_tax(it):
            kept = self.kept(it)
            return kept - (kept * it["tax"] / it["amount"] if it["amount"] else 0)

        return self.by(
            lambda it: (month_of(it["at"]), it["currency"]),
            [
                lambda it: money(it, it["amount"]),
                lambda it: money(it, it["discount"]),
                lambda it: money(it, it["tax"]),
                self.kept,
                without_tax,
            ],
        )

    def rates(self):
        def refunded(it):
            return sum(moved["amount"] for moved in it["corrections"] if moved["cause"] == "refund") < 0

        def disputed(it):
            return any(moved["cause"] == "dispute" for moved in it["corrections"])

        rows = self.by(
            lambda it: (month_of(it["at"]), it["currency"]),
            [lambda it: 1, refunded, disputed],
            [it for it in self.payments if it["amount"] > 0],
        )
        return {key: [*row, row[1] / row[0], row[2] / row[0]] for key, row in rows.items()}

    def reasons(self):
        cases = defaultdict(set)
        net = defaultdict(Decimal)
        for payment in self.payments:
            for moved in payment["corrections"]:
                key = (moved["cause"], moved["reason"] or "(none given)", payment["currency"])
                cases[key].add(moved["id"])
                net[key] += money(payment, moved["amount"])
        return {key: [len(ids), net[key]] for key, ids in cases.items()}

    def supporters(self):
        seen = set()
        rows = defaultdict(lambda: [0, 0, 0, 0])
        for payment in sorted(self.payments, key=lambda it: it["at"]):
            is_new = payment["supporter"] not in seen
            seen.add(payment["supporter"])
            row = rows[month_of(payment["at"]), payment["currency"]]
            row[0 if is_new else 1] += 1
            row[2 if is_new else 3] += money(payment, payment["amount"])
        return dict(rows)

    def retention(self):
        months = defaultdict(set)
        for payment in self.payments:
            at = when(payment["at"])
            months[payment["supporter"]].add(at.year * 12 + at.month - 1)
        rows = defaultdict(lambda: [0])
        for paid in months.values():
            first = min(paid)
            for month in paid:
                rows[f"{first // 12}-{first % 12 + 1:02}", month - first][0] += 1
        return dict(rows)

    def churn(self):
        by_session = defaultdict(list)
        for payment in self.payments:
            if payment["frequency"] != "ONE_OFF":
                by_session[payment["session"]].append(payment)
        rows = defaultdict(lambda: [0, 0, 0, 0, 0])
        for payments in by_session.values():
            last = max(payments, key=lambda it: it["at"])
            days = {"MONTHLY": 38, "QUARTERLY": 99}[last["frequency"]]
            lapsed = last["at"] + days * 86_400 < self.now
            row = rows[last["frequency"], last["currency"]]
            row[0] += 1
            row[1] += sum(it["is_renewal"] for it in payments)
            row[2] += lapsed
            row[4 if lapsed else 3] += money(last, last["amount"])
        return dict(rows)

    def opt_ins(self):
        asked = [it for it in self.payments if not it["is_renewal"]]

        def answered(word):
            return lambda it: (it["marketing"] or "not_asked") == word

        words = ["yes", "no", "not_understood", "not_asked"]
        rows = self.by(lambda it: (it["campaign"] or "(none)",), [answered(word) for word in words], asked)
        return {key: [*row, row[0] / (row[0] + row[1])] for key, row in rows.items()}

    def promotions(self):
        used = [it for it in self.payments if it["promotion_code"]]
        fields = [lambda it: 1, lambda it: money(it, it["discount"]), lambda it: money(it, it["amount"])]
        return self.by(lambda it: (it["promotion_code"], it["currency"]), fields, used)

    def variants(self):
        seen = [it for it in self.payments if it["variant"]]
        rows = self.by(
            lambda it: (it["variant"], it["currency"]), [lambda it: 1, lambda it: money(it, it["amount"])], seen
        )
        return {key: [count, amount / count] for key, (count, amount) in rows.items()}

    def page_views(self):
        """The site's log: three of four views lead to nothing."""
        views = [(it["page_view"], it["variant"]) for it in self.payments if it["variant"]]
        return views + [(f"{view}-{nth}", variant) for view, variant in views for nth in range(3)]

    def conversion(self):
        rows = self.by(lambda it: (it["variant"],), [lambda it: 1], [it for it in self.payments if it["variant"]])
        return {key: [4 * count, count, 0.25] for key, (count,) in rows.items()}

    def charged(self):
        return [it for it in self.payments if it["payment_id"].startswith("pi_")]

    def fees(self):
        return self.by(
            lambda it: (it["campaign"] or "(none)", it["currency"].lower()),
            [lambda it: 1, lambda it: it["amount"], lambda it: it["amount"] // 50],
            self.charged(),
        )

    def in_euro(self):
        rows = defaultdict(lambda: [0, 0])
        for payment in self.payments:
            moves = [(payment["amount"], payment["at"])]
            moves += [(moved["amount"], moved["at"]) for moved in payment["corrections"]]
            for minor, at in moves:
                row = rows[month_of(at),]
                if payment["currency"] not in RATES:
                    row[1] += 1
                    continue
                # No rate on weekends: the one of the Friday before, which ends in its day of the month.
                day = when(at).date()
                day -= timedelta(days=max(0, day.weekday() - 4))
                row[0] += money(payment, minor) / rate(payment["currency"], day)
        return dict(rows)


def rate(currency, day):
    factor = Decimal(1) if currency == "EUR" else 1 + Decimal(day.day) / 100
    return (Decimal(RATES[currency]) * factor).quantize(Decimal("0.001"))


# What a query is called in the page, and what it should say: how many of its columns are the key.
EXPECTED = {
    "Revenue by campaign, net of refunds and disputes": (2, Sent.campaigns),
    "Money in and out by month": (2, Sent.months),
    "Revenue by product": (3, Sent.items),
    "Net of tax and discount": (2, Sent.taxes),
    "Refund rate and dispute rate": (2, Sent.rates),
    "Why money went back": (3, Sent.reasons),
    "New and returning supporters": (2, Sent.supporters),
    "Retention": (2, Sent.retention),
    "Subscriptions: renewals and churn": (2, Sent.churn),
    "Who wants to hear from us": (1, Sent.opt_ins),
    "Promotion codes": (2, Sent.promotions),
    "A test's variants": (2, Sent.variants),
    "Conversion by variant": (1, Sent.conversion),
    "Fees": (2, Sent.fees),
    "In one currency": (1, Sent.in_euro),
}


def statements(document, dialect):
    """The statements of a section with the name of each: the bold words before it."""
    section = re.search(rf"^## {dialect}$(.*?)^## ", document, re.MULTILINE | re.DOTALL).group(1)
    blocks = re.split(r"^```sql\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
    for before, block in zip(blocks[::2], blocks[1::2]):
        bold = re.findall(r"^\*\*(.*?)\*\*", before, re.MULTILINE)
        name = bold[-1].rstrip(".,:") if bold else ""
        for statement in sqlglot.parse(block, read=dialect.lower()):
            yield name, statement


def for_duckdb(statement, now):
    """The same statement for DuckDB, at a fixed time."""

    def change(node):
        if isinstance(node, exp.CurrentTimestamp):
            return exp.cast(exp.Literal.string(when(now).isoformat()), "timestamptz")
        return node

    statement = statement.transform(change)
    if isinstance(statement, exp.Create):
        # Where rows lie is the warehouse's own.
        statement.set("properties", None)
    sql = statement.sql("duckdb", unsupported_level=sqlglot.ErrorLevel.IGNORE)
    # DuckDB's word for it, which sqlglot does not have: https://duckdb.org/docs/stable/sql/statements/merge_into
    return sql.replace("THEN INSERT ROW", "THEN INSERT *") if isinstance(statement, exp.Merge) else sql


def types_of_table(connection):
    """The columns of the table and their types, without Athena's partition column."""
    columns = connection.execute("DESCRIBE analytics.acquisition_events").fetchall()
    return {name: kind for name, kind, *_ in columns if name != "day"}


def load(connection, events):
    types = types_of_table(connection)
    given = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    names = ", ".join(types)
    connection.execute(
        f"INSERT INTO analytics.acquisition_events ({names}) SELECT {names} FROM "
        f"read_json('{events}', format = 'newline_delimited', columns = {{{given}}})"
    )


def as_parquet(connection, file):
    """Where the Parquet file of the same events says something else than the table that the events were loaded into."""
    expected = types_of_table(connection)
    names = ", ".join(expected)
    loaded = f"SELECT {names} FROM analytics.acquisition_events"
    written = f"SELECT {names} FROM read_parquet('{file}')"
    for one, other in ((loaded, written), (written, loaded)):
        (missing,) = connection.execute(f"SELECT COUNT(*) FROM ({one} EXCEPT ALL {other})").fetchone()
        if missing:
            return f"events.parquet: {missing} rows are not those of the table"
    # The types of the table, as far as DuckDB has them.
    found = dict(connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {written})").fetchall())
    for name, kind in expected.items():
        if found[name] != kind and name not in ("amount_decimal", "occurred_at", "published_at"):
            return f"events.parquet: {name} is {found[name]}, and {kind} in the table"
    return None


def beside_ours(connection, sent):
    """The tables of the site, of Stripe and of the bank that some queries join with."""
    for schema in ("site", "stripe"):
        connection.execute(f"CREATE SCHEMA {schema}")
    connection.execute("CREATE TABLE site.page_views (page_view_id VARCHAR, variant VARCHAR)")
    connection.executemany("INSERT INTO site.page_views VALUES (?, ?)", sent.page_views())
    connection.execute(
        "CREATE TABLE stripe.charges (payment_intent VARCHAR, paid BOOLEAN, balance_transaction_id VARCHAR)"
    )
    connection.execute(
        "CREATE TABLE stripe.balance_transactions (id VARCHAR, amount BIGINT, fee BIGINT, currency VARCHAR)"
    )
    for payment in sent.charged():
        charge = payment["payment_id"]
        # A card that was refused before it paid.
        connection.execute("INSERT INTO stripe.charges VALUES (?, false, NULL)", [charge])
        connection.execute("INSERT INTO stripe.charges VALUES (?, true, ?)", [charge, f"txn_{charge}"])
        row = [f"txn_{charge}", payment["amount"], payment["amount"] // 50, payment["currency"].lower()]
        connection.execute("INSERT INTO stripe.balance_transactions VALUES (?, ?, ?, ?)", row)
    connection.execute("CREATE TABLE analytics.ecb_rates (day DATE, currency VARCHAR, per_euro DECIMAL(18, 3))")
    days = [date(2026, 7, 1) + timedelta(days=nth) for nth in range(200)]
    rows = [
        (day, currency, rate(currency, day)) for day in days if day.weekday() < 5 for currency in RATES
    ]
    connection.executemany("INSERT INTO analytics.ecb_rates VALUES (?, ?, ?)", rows)


def comparable(value):
    """A key as the sums have it: a month for a day or a time, a number for a number."""
    if re.match(r"\d{4}-\d{2}-\d{2}", value):
        return value[:7]
    return int(value) if value.isdigit() else value


def differences(rows, keys, expected):
    """Where the answer of a query is not what was paid."""
    if not rows:
        return ["it returns nothing"]
    found = {tuple(map(comparable, row[:keys])): row[keys:] for row in rows}
    wrong = [f"two rows of {key}" for key in found if len(found) != len(rows)]
    wrong += [f"{key} is missing" for key in expected.keys() - found.keys()]
    wrong += [f"{key} was never paid" for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        pairs = list(zip(found[key], expected[key], strict=True))
        if any(said is None or abs(Decimal(said) - Decimal(paid)) > Decimal("0.000001") for said, paid in pairs):
            wrong.append(f"{key}: {[str(it) for it in found[key]]}, and {[str(it) for it in expected[key]]} was paid")
    return wrong


def run(document, dialect, folder, sent):
    """Runs one section. Whether each of its queries is right."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE SCHEMA analytics")
    asked = set()
    for name, statement in statements(document, dialect):
        reserved = sqlglot.Dialect.get_or_raise(dialect.lower()).generator_class.RESERVED_KEYWORDS
        words = {it.name for it in statement.find_all(exp.Identifier) if not it.quoted} & reserved
        if words:
            yield f"{dialect}: {name}: reserved words as names: {words}"
        sql = for_duckdb(statement, sent.now)
        if isinstance(statement, exp.Merge):
            # What an hour brings.
            connection.execute("DELETE FROM analytics.acquisitions_once WHERE event_id < '8'")
        if isinstance(statement, exp.Query):
            # As text: times with a zone would need one more package.
            sql = f"SELECT COLUMNS(*)::VARCHAR FROM ({sql})"
        try:
            answer = connection.execute(sql)
        except duckdb.Error as error:
            yield f"{dialect}: {name}: it does not run: {error}\n{sql}"
            continue
        if isinstance(statement, exp.Create):
            table = statement.find(exp.Table).name
            if table == "acquisition_events":
                load(connection, folder / "events.ndjson")
                if dialect == "BigQuery":
                    # Athena's table has times as texts.
                    yield as_parquet(connection, folder / "events.parquet")
                beside_ours(connection, sent)
            yield None
            continue
        if isinstance(statement, exp.Merge):
            both = connection.execute(
                "SELECT COUNT(*), COUNT(DISTINCT event_id), (SELECT COUNT(*) FROM analytics.acquisitions) "
                "FROM analytics.acquisitions_once"
            ).fetchone()
            right = len(set(both)) == 1 and both[0] > 0
            yield None if right else f"{dialect}: {name}: the merged table has {both} rows, ids and events"
            continue
        title = next((title for title in EXPECTED if name.startswith(title)), None)
        if title is None:
            yield f"{dialect}: \"{name}\" has no expectation: add it to {Path(__file__).name}"
            continue
        asked.add(title)
        keys, expected = EXPECTED[title]
        wrong = differences(answer.fetchall(), keys, expected(sent))
        yield f"{dialect}: {name}:\n    " + "\n    ".join(wrong[:5]) if wrong else None
    lost = set(EXPECTED) - asked if dialect == "BigQuery" else set()
    for title in sorted(lost):
        yield f"{dialect}: \"{title}\" is no longer in the page"


def main():
    folder, page = Path(sys.argv[1]), Path(sys.argv[2])
    sent = Sent(json.loads((folder / "sent.json").read_text()))
    document = page.read_text()
    results = [result for dialect in ("BigQuery", "Athena") for result in run(document, dialect, folder, sent)]
    failed = [result for result in results if result]
    print("\n".join(failed))
    print(f"# pass {len(results) - len(failed)}\n# fail {len(failed)}")
    sys.exit(bool(failed))


main()
