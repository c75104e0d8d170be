#!/usr/bin/env python3
"""Turns the Chinook sample shop (three CSV files beside this script) into events.ndjson, one CloudEvent a line.

    make_events.py          writes events.ndjson
    make_events.py --check  compares events.ndjson with what would be written; exit code 1 when they differ

The same input always gives the same bytes: ids come from the rows, nothing is random, amounts are never floats.
Needs Python 3.8 or later and nothing else.
"""

import csv
import json
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
OUTPUT = FOLDER / "events.ndjson"

SOURCE = "/examples/chinook"
CURRENCY = "USD"
INITIAL_STOCK = 10
UNPAID_EVERY = 10  # an invoice whose id divides by this is never settled: its payment stays PENDING

# Customers sign up on the day before the first invoice, a second apart, so that "recent users" has one order.
SIGN_UP = datetime(2006, 12, 31, tzinfo=timezone.utc)
STOCKED_AT = "2006-12-31T12:00:00Z"

EXPECTED = {
    "customers": 59,
    "invoices": 412,
    "lines": 2240,
    "payments": 371,
    "tracks": 1984,
    "events": 5066,
    "total": Decimal("2328.60"),
}


def to_json(value):
    """JSON without spaces; Decimals are written digit for digit, where the json module would want a float."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{to_json(k)}:{to_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(to_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def rows(name):
    with open(FOLDER / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def event(event_id, event_type, subject, time, data):
    """One event in the canonical form, keys in the order in which Millrace itself writes them."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": event_type,
        "subject": subject,
        "time": time,
        "dataschema": f"/schemas/{event_type}/1",
        "datacontenttype": "application/json",
        "data": data,
    }


def user_created(customer):
    number = int(customer["customer_id"])
    user_id = f"customer-{number}"
    time = (SIGN_UP + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    data = {"userId": user_id, "email": customer["email"], "name": customer["name"]}
    return event(f"chinook-{user_id}", "UserCreated", user_id, time, data)


def stocked(track):
    sku = f"track-{track}"
    data = {"sku": sku, "delta": INITIAL_STOCK, "reason": "initial stock"}
    return event(f"chinook-stock-{sku}", "InventoryAdjusted", sku, STOCKED_AT, data)


def order_placed(invoice, lines):
    order_id = f"invoice-{invoice['invoice_id']}"
    data = {
        "orderId": order_id,
        "userId": f"customer-{invoice['customer_id']}",
        "amount": Decimal(invoice["total"]),
        "currency": CURRENCY,
        "placedAt": invoice["invoice_date"],
        "items": [
            {
                "sku": f"track-{line['track_id']}",
                "quantity": int(line["quantity"]),
                "unitPrice": Decimal(line["unit_price"]),
            }
            for line in lines
        ],
    }
    return event(f"chinook-{order_id}", "OrderPlaced", order_id, invoice["invoice_date"], data)


def payment_settled(invoice):
    order_id = f"invoice-{invoice['invoice_id']}"
    payment_id = f"payment-{invoice['invoice_id']}"
    data = {
        "paymentId": payment_id,
        "orderId": order_id,
        "amount": Decimal(invoice["total"]),
        "currency": CURRENCY,
        "status": "SETTLED",
    }
    return event(f"chinook-{payment_id}", "PaymentSettled", order_id, invoice["invoice_date"], data)


def sold(invoice, line):
    sku = f"track-{line['track_id']}"
    data = {"sku": sku, "delta": -int(line["quantity"]), "reason": "sold"}
    event_id = f"chinook-line-{line['invoice_line_id']}"
    return event(event_id, "InventoryAdjusted", sku, invoice["invoice_date"], data)


def shop_history(customers, invoices, lines):
    """All events in the order in which they would have happened."""
    lines_of = {}
    for line in lines:
        lines_of.setdefault(line["invoice_id"], []).append(line)
    for customer in customers:
        yield user_created(customer)
    for track in sorted({int(line["track_id"]) for line in lines}):
        yield stocked(track)
    for invoice in sorted(invoices, key=lambda i: (i["invoice_date"], int(i["invoice_id"]))):
        own_lines = lines_of[invoice["invoice_id"]]
        yield order_placed(invoice, own_lines)
        if int(invoice["invoice_id"]) % UNPAID_EVERY != 0:
            yield payment_settled(invoice)
        for line in own_lines:
            yield sold(invoice, line)


def check(events, lines):
    """Compares what was made with what the shop is known to hold, and each invoice with its lines."""

    def of_type(name):
        return [e["data"] for e in events if e["type"] == name]

    orders, adjustments = of_type("OrderPlaced"), of_type("InventoryAdjusted")
    found = {
        "customers": len(of_type("UserCreated")),
        "invoices": len(orders),
        "lines": sum(1 for a in adjustments if a["reason"] == "sold"),
        "payments": len(of_type("PaymentSettled")),
        "tracks": sum(1 for a in adjustments if a["reason"] == "initial stock"),
        "events": len(events),
        "total": sum(order["amount"] for order in orders),
    }
    if found != EXPECTED or found["lines"] != len(lines):
        sys.exit(f"make_events.py: expected {EXPECTED}, found {found}")
    if len({e["id"] for e in events}) != len(events):
        sys.exit("make_events.py: an event id occurs twice")
    if any(earlier["time"] > later["time"] for earlier, later in zip(events, events[1:])):
        sys.exit("make_events.py: the events are not in the order of time")
    for order in orders:
        if order["amount"] != sum(i["unitPrice"] * i["quantity"] for i in order["items"]):
            sys.exit(f"make_events.py: the lines of {order['orderId']} do not add up to its total")


def main(arguments):
    if arguments not in ([], ["--check"]):
        sys.exit("usage: make_events.py [--check]")
    lines = rows("invoice_lines.csv")
    events = list(shop_history(rows("customers.csv"), rows("invoices.csv"), lines))
    check(events, lines)
    made = "".join(to_json(e) + "\n" for e in events).encode("utf-8")
    if not arguments:
        OUTPUT.write_bytes(made)
        print(f"{OUTPUT.name}: {len(events)} events written")
    elif not OUTPUT.exists() or OUTPUT.read_bytes() != made:
        sys.exit(f"make_events.py: {OUTPUT.name} differs from what this script makes; run it without --check")
    else:
        print(f"{OUTPUT.name}: {len(events)} events, as this script makes them")


if __name__ == "__main__":
    main(sys.argv[1:])
