"""Does S4's order of seven optimizers hold at its own rates, and if each optimizer has the best of several?"""

from functools import cache

import pandas as pd
import scipy
from omegaconf import OmegaConf

from fer_lightning.analysis.wording import listed
from fer_lightning.config.groups import CONF

# The arms of S4's study: {recipe: (the rate it starts from, what it is)}. A plateau is too slow for a short run, which keeps the rate.
ARMS = {"four_stage_vgg_constant": (1e-3, "a constant 0.001"), "four_stage_vgg": (1e-2, "0.01 with a plateau")}


@cache
def published():
    """Validation accuracy in %, a row an optimizer, a column an arm (S4-21 to S4-27)."""
    rows = OmegaConf.load(CONF / "study" / "optimizers.yaml").study.published
    cells = [(row.cell.optimizer, row.cell.recipe, float(row.val_accuracy)) for row in rows]
    return pd.DataFrame(cells, columns=["optimizer", "arm", "accuracy"]).pivot(index="optimizer", columns="arm", values="accuracy")


def at_rates(done):
    """Mean validation accuracy in %, a row an optimizer, a column a learning rate. done: the finished jobs."""
    rates = done["optimizer.lr"].astype(float)
    return 100 * done.assign(rate=rates).pivot_table(index="optimizer", columns="rate", values="val_accuracy", aggfunc="mean")


def places(accuracies):
    """1 for the largest; equal ones share the better place."""
    return accuracies.rank(method="min", ascending=False).astype(int)


def order_table(done):
    """A row an optimizer, the best at its own rate first: validation at each rate and its own, test, S4's places."""
    at = at_rates(done)
    own, best = at.idxmax(axis=1), at.max(axis=1)
    table = pd.DataFrame(index=at.index)
    for rate in at:
        shown = places(at[rate].dropna())
        table[f"val % at {rate:g}"] = [f"{at.loc[name, rate]:.2f} ({shown[name]})" if name in shown else "" for name in at.index]
    table["own rate"] = own.map("{:g}".format)
    table["val % at its own"] = [f"{accuracy:.2f} ({place})" for accuracy, place in zip(best, places(best), strict=True)]
    tested = {name: 100 * of["test_accuracy"][of["optimizer.lr"].astype(float) == own[name]] for name, of in done.groupby("optimizer")}
    table["test %"] = [f"{tested[name].mean():.2f} ± {tested[name].std():.2f}" for name in at.index]
    for arm, (_, what) in ARMS.items():
        table[f"S4's place, {what}"] = places(published()[arm]).reindex(at.index).astype(str)
    return table.loc[best.sort_values(ascending=False).index].reset_index()


def order_text(done):
    """How far S4's order holds, in sentences."""
    at = at_rates(done)
    said = []
    for arm, (rate, what) in ARMS.items():
        if rate in at:
            agreement = scipy.stats.spearmanr(published()[arm].reindex(at.index), at[rate])
            said.append(f"S4's accuracies with {what} and these at {rate:g} have a rank correlation of {_rho(agreement)}.")
    own = scipy.stats.spearmanr(published()["four_stage_vgg_constant"].reindex(at.index), at.max(axis=1))
    said.append(f"With the rate that is best for each of these, it is {_rho(own)}.")
    return f"Spearman's correlations over {len(at)} optimizers. {' '.join(said)}"


def order_conclusion(done):
    """Who leads and who is last, at each rate and at the own ones, in one sentence."""
    at = at_rates(done)
    best = at.max(axis=1)
    ends = [f"at {rate:g} {at[rate].idxmax()} leads and {at[rate].idxmin()} is last" for rate in at if at[rate].notna().all()]
    leaders = {at[rate].idxmax() for rate in at if at[rate].notna().all()}
    own, theirs = places(best), published()["four_stage_vgg_constant"]
    lead = "The order depends on the rate" if len(leaders) > 1 else "One optimizer leads at each rate"
    first, last = theirs.idxmax(), theirs.idxmin()
    return (
        f"{lead}: {'; '.join(ends)}. With the best of these rates for each, {best.idxmax()} leads, S4's first, {first}, has place "
        f"{own[first]} of {len(best)}, its last, {last}, place {own[last]}, and all but the last lie within "
        f"{best.max() - best.nsmallest(2).iloc[-1]:.2f} points.{at_the_end(at)}"
    )


def at_the_end(at):
    """Which optimizers are best at the smallest or the largest rate that they have, in a sentence; "" if none is. at: of `at_rates`"""
    tried = {name: row.dropna() for name, row in at.iterrows()}
    names = [name for name, row in tried.items() if row.idxmax() in (row.index[0], row.index[-1])]
    if not names:
        return ""
    more = "has" if len(names) == 1 else "have"
    return f" {listed(names)} {more} the best accuracy at the smallest or the largest of their rates: beyond it there may be a better one."


def _rho(result):
    return f"{result.statistic:+.2f} (p {result.pvalue:.3f})"
