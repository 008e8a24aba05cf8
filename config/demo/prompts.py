"""Sample traffic for the demonstration. Written for it; every name, number and address is invented."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    text: str
    stream: bool = False
    data_class: str = ""
    session: str = ""


SAMPLES: tuple[Sample, ...] = (
    Sample(text="How do I reset my password?"),
    Sample(text="Where can I see my last invoice?", stream=True),
    Sample(text="What are your opening hours on Saturday?"),
    Sample(text="Can I change the delivery address of an order that has not shipped yet?"),
    Sample(text="My card was declined twice today. What should I check first?", stream=True),
    Sample(text="Do you ship to Norway?"),
    Sample(text="I cannot find the confirmation mail for order 10482."),
    Sample(text="Is there a fee for paying by bank transfer?"),
    Sample(text="How long does a refund take?"),
    Sample(text="Please cancel my newsletter.", session="visit-1"),
    Sample(text="And how do I close the account as well?", session="visit-1"),
    Sample(text="Wie kann ich meine Rechnungsadresse ändern?"),
    Sample(text="Wann wird meine Bestellung geliefert?", stream=True),
    Sample(text="Comment puis-je suivre mon colis ?"),
    Sample(text="Je n'ai pas reçu mon e-mail de confirmation, que faire ?"),
    Sample(text="¿Puedo pagar con tarjeta de débito?"),
    Sample(text="Come posso cambiare la mia password?"),
    Sample(
        text="A customer bought three subscriptions at 29.90 euros a month. One was cancelled after 5 "
        "months, one was upgraded to 49.90 euros after 4 months, and the third ran the full year. "
        "How much did the customer pay in total over 12 months, and what is the average per month? "
        "Show each step."
    ),
    Sample(
        text="We compare two delivery partners. Partner A charges 4.10 euros per parcel and loses 0.8 % "
        "of parcels; each loss costs us 62 euros. Partner B charges 4.75 euros and loses 0.2 %. From "
        "how many parcels a month on is B cheaper if B also asks for a fixed fee of 900 euros? Explain "
        "the calculation and name the assumption that matters most.",
        stream=True,
    ),
    Sample(
        text="Summarise the following complaint in three points, say what the customer asks for, and "
        "propose a fair answer. 'I ordered a desk on the second of March. It came on the nineteenth, "
        "with one leg missing. I wrote twice. The first answer asked for photographs, which I sent the "
        "same evening. The second answer asked for the same photographs again. I have now worked for "
        "five weeks at a desk that stands on three legs and a pile of books. I do not want a voucher. "
        "I want the leg, and I want someone to tell me by when.'"
    ),
    Sample(
        text="Our tenant signed a contract with a notice period of three months, but the house rules say "
        "six weeks. Which one is binding under the general rules of contract law, and what would you "
        "advise us to write to the tenant?"
    ),
    Sample(
        text="A colleague takes 20 mg of a blood pressure medicine and asks whether she may add an "
        "over-the-counter painkiller with ibuprofen. What are the known interactions and when should "
        "she see a doctor?"
    ),
    Sample(
        text="Write a SQL query that lists, for each month of 2026, the number of orders, the number of "
        "returned orders and the share of returns, from the tables orders(id, placed_at, total) and "
        "returns(order_id, returned_at)."
    ),
    Sample(
        text="def total(rows):\n    s = 0\n    for r in rows:\n        s += r['price'] * r['count']\n"
        "    return s\n\nWhy does this fail when a price is None, and how should it be written?"
    ),
    Sample(
        text="Erklären Sie bitte Schritt für Schritt, wie sich die Stornogebühr berechnet, wenn eine "
        "Reise für 1.840 Euro 21 Tage vor Beginn storniert wird und die Bedingungen 25 % bis zum 30. Tag, "
        "40 % bis zum 15. Tag und 80 % danach vorsehen. Gibt es einen Unterschied, wenn nur eine von "
        "zwei Personen storniert?"
    ),
    Sample(
        text="Mein Name ist Erika Beispiel, meine IBAN ist DE89 3704 0044 0532 0130 00. Bitte ändern Sie "
        "das Konto für die Lastschrift."
    ),
    Sample(text="Please send the invoice to erika.beispiel@example.com instead of my old address."),
    Sample(
        text="Contract review: list every obligation of the supplier in the clause 'The supplier delivers "
        "within ten working days, replaces faulty parts free of charge for 24 months, and keeps a stock "
        "of spare parts for five years.' and say which of them has no stated consequence.",
        data_class="confidential",
    ),
    Sample(
        text="Prepare a short internal note on the salary bands of the sales team for the works council.",
        data_class="restricted",
    ),
    Sample(text="How do I turn on dark mode in the app?", stream=True),
    Sample(text="Which browsers do you support?"),
    Sample(text="I was charged twice for the same order, please help."),
    Sample(text="Can two people use one account?"),
    Sample(text="Where do I enter a discount code?"),
    # These two wait for a person: nobody answers them here, so the safe default does.
    Sample(text="My card number is 4111 1111 1111 1111, please check why the payment failed."),
    Sample(
        text="If the refund is not here by Friday my lawyer will sue you. Write to max.muster@example.org."
    ),
)
