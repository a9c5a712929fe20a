"""BG/NBD on simulated customers whose parameters are known."""

from __future__ import annotations

import numpy as np
import pytest

from ml.bgnbd import BgNbd, Purchases

TRUE = BgNbd(r=0.5, alpha=20.0, a=0.8, b=2.5)


def customers(number: int, age: float, horizon: float) -> tuple[Purchases, np.ndarray]:
    """Customers of the model's own story, and who of them buys within ``horizon`` after ``age`` days."""
    chance = np.random.default_rng(3)
    rows, bought = [], []
    for rate, drop in zip(
        chance.gamma(TRUE.r, 1 / TRUE.alpha, number), chance.beta(TRUE.a, TRUE.b, number), strict=True
    ):
        time, moments = 0.0, [0.0]
        while (time := time + chance.exponential(1 / rate)) < age + horizon:
            moments.append(time)
            if chance.random() < drop:
                break
        seen = [moment for moment in moments if moment < age]
        rows.append((len(seen) - 1, seen[-1], age))
        bought.append(len(moments) > len(seen))
    return Purchases(*np.array(rows).T), np.array(bought)


@pytest.fixture(scope="module")
def shop() -> tuple[Purchases, np.ndarray]:
    return customers(20_000, age=300.0, horizon=90.0)


def test_parameters_are_found_again(shop: tuple[Purchases, np.ndarray]) -> None:
    found = BgNbd.fit(shop[0])

    assert (found.r, found.alpha) == pytest.approx((TRUE.r, TRUE.alpha), rel=0.15)
    assert found.a / (found.a + found.b) == pytest.approx(TRUE.a / (TRUE.a + TRUE.b), rel=0.1)


def test_the_chance_of_no_purchase_is_the_share_that_buys_nothing(shop: tuple[Purchases, np.ndarray]) -> None:
    seen, bought = shop
    score = TRUE.no_purchase(seen, 90.0)

    for tenth in np.array_split(np.argsort(score), 10):
        assert score[tenth].mean() == pytest.approx(1 - bought[tenth].mean(), abs=0.03)


def test_who_bought_once_is_alive_and_a_long_silence_after_many_is_not() -> None:
    seen = Purchases(np.array([0.0, 20.0, 20.0]), np.array([0.0, 299.0, 100.0]), np.full(3, 300.0))

    once, active, silent = TRUE.alive(seen)

    assert once == 1
    assert active > 0.9 > 0.01 > silent


def test_without_a_repeat_there_is_nothing_to_learn() -> None:
    with pytest.raises(ValueError, match="no customer has bought twice"):
        BgNbd.fit(Purchases(np.zeros(5), np.zeros(5), np.full(5, 30.0)))
