"""Numbers with units: reading them, and when two say the same."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaver._coordination.values.mentions import last_number, mentions, quantities_in
from weaver._coordination.values.quantities import quantity
from weaver._coordination.values.units import unit_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2.1 million", 2_100_000),
        ("2,102,650", 2_102_650),
        ("1.234.567", 1_234_567),
        ("1.234,5", Fraction("1234.5")),
        ("1 234 567", 1_234_567),
        ("1'234'567", 1_234_567),
        ("1,23", Fraction("1.23")),
        ("1,234", 1234),
        ("0,123", Fraction("0.123")),
        ("$1,234.50", Fraction("1234.5")),
        ("-$5", -5),
        ("\u22123", -3),
        ("3/4", Fraction(3, 4)),
        ("1 1/2", Fraction(3, 2)),
        ("1½", Fraction(3, 2)),
        (r"\frac{3}{4}", Fraction(3, 4)),
        ("1.2e6", 1_200_000),
        ("1.2 \u00d7 10^6", 1_200_000),
        ("about 300", 300),
        ("250k", 250_000),
        ("€1.5bn", 1_500_000_000),
        ("twelve", 12),
        ("3.14.", Fraction("3.14")),
        (".5", Fraction(1, 2)),
    ],
)
def test_number_formats(text, value):
    found = quantity(text)
    assert found is not None
    assert found.written == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Paris",
        "March 5",
        "12:30",
        "5 ft 3 in",
        "42 is the answer to it",
        "1/0",
        "1e999999",
        "9" * 300,
        "3 to 2",
    ],
)
def test_what_is_no_number(text):
    assert quantity(text) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("5 km", "5000 m", True),
        ("5 km", "5001 m", False),
        ("5 kg", "5 km", False),
        ("1 mile", "1.609344 km", True),
        ("32 °F", "0 °C", True),
        ("50%", "0.5", True),
        ("36 km/h", "10 m/s", True),
        ("2 square miles", "2 mi²", True),
        ("5 km", "5", True),  # the missing unit is not held against it
        ("5 km", "6", None),  # but then only equal numbers can be compared
        ("5 USD", "5 EUR", None),
        ("3 people", "3 inhabitants", True),
        ("3 people", "4 inhabitants", None),
        ("3 people", "4 people", False),
        ("2.1 million", "2.3 million", False),
        ("12", "12.4", False),
        ("10-12", "11", True),
    ],
)
def test_agreement(one, other, same):
    a, b = quantity(one), quantity(other)
    assert a.agrees(b) is same
    assert b.agrees(a) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2.1 million", "2,102,650", True),
        ("2.1 million", "2,160,000", False),
        ("5 miles", "8.05 km", True),
        ("8 km", "5 mi", True),
        ("100 km/h", "62 mph", True),
        ("100 km/h", "64 mph", False),
        ("about 300", "298", True),
        ("300", "298", False),
        ("3.14", "3.14159", True),
    ],
)
def test_agreement_of_rounded_values(one, other, same):
    assert quantity(one).agrees(quantity(other), rounding=True) is same
    assert quantity(other).agrees(quantity(one), rounding=True) is same


def test_unit_given_apart_is_used_only_when_the_text_has_none():
    assert quantity("5", "km").agrees(quantity("5000 m")) is True
    assert quantity("5 m", "km").agrees(quantity("5 m")) is True


def test_last_number_in_prose():
    assert last_number("3 apples, then 4-2, so 2 remain; the total is 1,234.").value == 1234
    assert last_number("it rose by 12.5%").value == Fraction(1, 8)
    assert last_number("the ratio is 3/4.").value == Fraction(3, 4)
    assert last_number("nothing here") is None


@given(st.integers(min_value=0, max_value=10**12))
def test_grouping_does_not_change_a_number(number):
    forms = {str(number), f"{number:,}", f"{number:,}".replace(",", " "), f"{number:,}".replace(",", "'")}
    if number >= 10**6:
        forms.add(f"{number:,}".replace(",", "."))
    assert {quantity(f).value for f in forms} == {number}


@given(st.text(max_size=60))
def test_reading_never_raises(text):
    quantity(text)
    last_number(text)
    unit_of(text)


@given(
    st.sampled_from(["km", "mi", "ft", "kg", "lb", "h", "°C", "°F", "%", "USD", "MB"]), st.integers(-999, 999)
)
def test_a_quantity_agrees_with_itself(unit, number):
    one = quantity(f"{number} {unit}")
    assert one.agrees(one) is True


def test_table_agrees_with_pint():
    """Our factors are those of a units library (see the decision record)."""
    pint = pytest.importorskip("pint")
    registry = pint.UnitRegistry(non_int_type=Fraction, autoconvert_offset_to_baseunit=True)
    pairs = {
        "km": "kilometer", "mile": "mile", "foot": "foot", "inch": "inch", "yard": "yard",
        "nmi": "nautical_mile", "light year": "light_year", "lb": "pound", "oz": "ounce", "stone": "stone",
        "tonne": "metric_ton", "short ton": "short_ton", "hour": "hour", "week": "week", "acre": "acre",
        "ha": "hectare",
        "litre": "liter", "gallon": "gallon", "fl oz": "fluid_ounce", "cup": "cup", "tbsp": "tablespoon",
        "tsp": "teaspoon", "mph": "mile_per_hour", "knot": "knot", "hp": "horsepower", "atm": "atmosphere",
        "psi": "psi", "bar": "bar", "kWh": "kilowatt_hour", "cal": "calorie", "MB": "megabyte",
        "GiB": "gibibyte", "km/h": "kilometer_per_hour", "m²": "meter**2", "kg": "kilogram",
    }  # fmt: skip
    bases = {"m": "m", "kg": "kg", "s": "s", "m^3": "m**3", "m^2": "m**2", "m s^-1": "m/s", "W": "W",
             "W s": "W*s", "Pa": "Pa", "bit": "bit"}  # fmt: skip
    for ours, theirs in pairs.items():
        unit = unit_of(ours)
        factor = registry.Quantity(1.0, theirs).to(bases[unit.dimension]).magnitude
        assert float(factor) == pytest.approx(float(unit.factor), rel=1e-5), ours
    assert registry.Quantity(100.0, "degF").to("kelvin").magnitude == pytest.approx(
        float(quantity("100 °F").value)
    )


def test_quantities_in_prose():
    text = "It has 2.1 million people, costs $5 per ticket, and is 12-15 km from x-5; 20% of -3 °C."
    found = [(float(q.written), q.unit) for q in quantities_in(text)]
    assert found == [(2_100_000, ""), (5, "$"), (13.5, "km"), (5, ""), (20, "%"), (-3, "°C")]


@pytest.mark.parametrize(
    ("text", "value", "there"),
    [
        ("Paris has 2,102,650 inhabitants.", "2.1 million people", True),
        ("Paris has 2.3 million inhabitants.", "2.1 million people", False),
        ("It is 5 km long.", "5000 m", True),
        ("It is 5 kg.", "5 km", False),
        ("He was born in Lyon, France.", "Lyon", True),
        ("The Lyonnaise cuisine", "Lyon", False),
        ("the EIFFEL tower", "Eiffel Tower", True),
    ],
)
def test_mentions(text, value, there):
    assert mentions(text, value) is there
