"""The λ grid against fits on their own, and its choice against figures worked out by hand."""

from __future__ import annotations

import csv
import io
import json
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.probing import grid as grid_module
from fairseq_neuron_plugin.probing.elastic_net import ElasticNetProbe
from fairseq_neuron_plugin.probing.grid import (
    DEFAULT,
    Cell,
    Grid,
    GridPlan,
    measure_grid,
    parse_grid,
)
from fairseq_neuron_plugin.probing.grid_plot import plot_grid
from fairseq_neuron_plugin.probing.labelled import LabelledTokens
from fairseq_neuron_plugin.probing.mask_curve import row_blocks
from fairseq_neuron_plugin.rankings import linguistic
from fairseq_neuron_plugin.rows import View

matplotlib = pytest.importorskip("matplotlib")

NEURONS, PLANTED = 20, [4, 9, 17]
TOL = 1e-7


def tokens(count: int, seed: int, noise: float = 1.0) -> LabelledTokens:
    """Three planted neurons carry the label, the others are noise; sentences of 10 tokens."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(3, count, p=[0.5, 0.3, 0.2])
    X = rng.normal(size=(count, NEURONS)) + 1.0
    X[:, PLANTED] += 2 * np.eye(3)[codes] * rng.exponential(noise, size=(count, 1))
    return labelled(X, np.array(["a", "b", "c"])[codes])


def labelled(X, y) -> LabelledTokens:
    words = np.array(["w"] * len(y), dtype=np.str_)
    return LabelledTokens(X, words, np.asarray(y, dtype=np.str_), np.arange(len(y)) // 10)


@pytest.fixture(scope="module")
def train() -> LabelledTokens:
    return tokens(400, 0)


@pytest.fixture(scope="module")
def dev() -> LabelledTokens:
    return tokens(250, 1)


PLAN = GridPlan((1e-4, 1e-3, 1e-2), (0.0, 1e-3, 1e-1))


@pytest.fixture(scope="module")
def measured(train, dev) -> Grid:
    return measure_grid(train, dev, PLAN, share="15%", exact=True, tol=TOL)


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("auto", GridPlan(DEFAULT, DEFAULT, True)),
        ("auto:1e-5,0", GridPlan((0.0, 1e-5), (0.0, 1e-5), True)),
        ("auto:0,1e-4:1e-5", GridPlan((0.0, 1e-4), (1e-5,), True)),
        ("0, 1e-5, 1e-3", GridPlan((0.0, 1e-5, 1e-3), (0.0, 1e-5, 1e-3))),
        ("1e-3,0:1e-4,1e-6,0", GridPlan((0.0, 1e-3), (0.0, 1e-6, 1e-4))),
        ("1e-5,0.00001,1e-05,-0,0", GridPlan((0.0, 1e-5), (0.0, 1e-5))),
        ("2", GridPlan((2.0,), (2.0,))),
    ],
)
def test_plan_is_read(text, plan):
    found = parse_grid(text)
    assert found == plan
    assert parse_grid(str(found)) == found
    assert "-" not in str(found).replace("e-", "")
    assert len(found) == len(found.l1) * len(found.l2)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("-1e-5,0", "not -1e-05"),
        ("0:1,-2", "l2 .* not -2"),
        ("0,inf", "not inf"),
        ("nan", "not nan"),
        ("0,much", "'much'"),
        ("", "''"),
        ("auto:", "''"),
        ("1e-5:", "''"),
        ("1e-5,,1e-4", "''"),
        ("1:2:3", "'2:3'"),
        ("automatic", "'automatic'"),
    ],
)
def test_plan_that_is_none(text, what):
    with pytest.raises(UserError, match=what) as error:
        parse_grid(text)
    assert "\n" not in str(error.value)


def test_plan_without_strengths():
    with pytest.raises(UserError, match="at least one"):
        GridPlan((), (1e-5,))


def test_order_of_the_plan_and_repetitions_do_not_matter():
    assert GridPlan((1.0, 0.0, 1.0), (2.0, 2.0)) == GridPlan((0.0, 1.0), (2.0,))


def test_every_cell_is_what_a_fit_on_its_own_finds(measured, train, dev):
    assert [(c.l1, c.l2) for c in measured.cells] == [(a, b) for a in PLAN.l1 for b in PLAN.l2]
    assert (measured.share, measured.kept, measured.tokens) == ("15%", 3, 250)
    for cell in measured.cells:
        cold = ElasticNetProbe(cell.l1, cell.l2, tol=TOL).fit(train.activations, train.labels)
        # Strong convexity bounds the difference in objective by about residual * distance.
        assert cell.objective == pytest.approx(cold.objective_, abs=1e-6)
        assert cell.nonzero == (cold.coef_ != 0).sum()
        assert cell.kkt_residual <= TOL
        assert cell.converged
        order = linguistic(cold.coef_).neurons
        for found, kept in (
            (cell.accuracy, order),
            (cell.top, order[:3]),
            (cell.bottom, order[-3:]),
        ):
            masked = np.zeros_like(dev.activations)
            masked[:, kept] = dev.activations[:, kept]
            assert found == pytest.approx(cold.score(masked, dev.labels), abs=1e-9)
    # The grid tells strengths apart, else the comparison above would say little.
    assert len({cell.nonzero for cell in measured.cells}) > 3
    assert measured.cells[0].contrast > 0.1


def test_numbers_that_come_from_the_order_of_the_fits_stay_small(measured, train, dev):
    """The same cells as part of another grid, hence with other starts."""
    alone = measure_grid(train, dev, GridPlan((1e-3,), (1e-3,)), share="3", tol=TOL)
    [cell] = alone.cells
    same = next(c for c in measured.cells if (c.l1, c.l2) == (1e-3, 1e-3))
    assert cell.objective == pytest.approx(same.objective, abs=1e-6)
    picked = ("l1", "l2", "accuracy", "top", "bottom", "nonzero", "converged")
    assert [getattr(cell, n) for n in picked] == [getattr(same, n) for n in picked]
    assert alone.pick() == alone.reference == cell


def test_cells_that_are_not_exact_are_near(measured, train, dev):
    """What saves the time: few steps a cell, and the accuracies of exact ones all the same."""
    quick = measure_grid(train, dev, PLAN, share="15%", tol=TOL)
    assert sum(c.passes for c in quick.cells) < 0.8 * sum(c.passes for c in measured.cells)
    for cell, exact in zip(quick.cells, measured.cells, strict=True):
        assert cell.objective == pytest.approx(exact.objective, rel=0.02)
        assert cell.accuracy == pytest.approx(exact.accuracy, abs=0.02)
        assert cell.converged == (
            cell.kkt_residual <= max(TOL, min(1e-4, 0.1 * max(cell.l1, cell.l2)))
        )


def test_each_fit_starts_from_the_neighbour_that_is_best(train, dev, monkeypatch):
    """Noted at the path: every start is an earlier neighbour, and none has a lower objective."""
    calls: list[tuple[float, float, ElasticNetProbe | None]] = []
    fitted: dict[tuple[float, float], ElasticNetProbe] = {}

    class Noted(grid_module.ProbePath):
        def fit(self, l1, l2, start=None, **settings):
            calls.append((l1, l2, start))
            fitted[l1, l2] = super().fit(l1, l2, start, **settings)
            return fitted[l1, l2]

    monkeypatch.setattr(grid_module, "ProbePath", Noted)
    measure_grid(train, dev, PLAN, tol=1e-5)
    assert [call[:2] for call in calls] == [
        (a, b) for b in reversed(PLAN.l2) for a in reversed(PLAN.l1)
    ]
    assert calls[0][2] is None

    def objective(probe, l1, l2):
        chances = probe.predict_proba(train.activations)
        own = chances[np.arange(len(train)), train.label_codes]
        return -np.log(own).mean() + l1 * abs(probe.coef_).sum() + l2 * (probe.coef_**2).sum()

    for l1, l2, start in calls[1:]:
        i, j = PLAN.l1.index(l1), PLAN.l2.index(l2)
        near = [(i + 1, j)] * (i + 1 < len(PLAN.l1)) + [(i, j + 1)] * (j + 1 < len(PLAN.l2))
        choices = [fitted[PLAN.l1[a], PLAN.l2[b]] for a, b in near]
        best = min(choices, key=lambda probe: objective(probe, l1, l2))
        assert start is best


def test_probe_without_weights_predicts_the_majority(train, dev):
    [cell] = measure_grid(train, dev, GridPlan((10.0,), (0.0,)), share="5").cells
    majority = float((dev.labels == "a").mean())
    assert cell.nonzero == 0
    assert cell.accuracy == cell.top == cell.bottom == majority
    assert cell.contrast == 0


def test_separable_labels_without_a_penalty_have_no_optimum():
    X = np.linspace(-2, 2, 40)[:, None] ** [1, 2]
    data = labelled(X, np.where(X[:, 0] > 0, "yes", "no"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grid = measure_grid(
            data, data, GridPlan((0.0, 1e-3), (0.0,)), share="1", tol=1e-12, max_iter=5
        )
    free, held = grid.cells
    assert not free.converged
    assert free.kkt_residual > 1e-12
    assert free.objective < held.objective
    assert grid.reference is free


def test_unknown_labels_count_as_wrong(train, dev, measured):
    other = labelled(dev.activations, np.where(dev.labels == "b", "zz", dev.labels))
    [cell] = measure_grid(train, other, GridPlan((1e-3,), (1e-3,)), share="15%", tol=TOL).cells
    probe = ElasticNetProbe(1e-3, 1e-3, tol=TOL).fit(train.activations, train.labels)
    right = probe.predict(dev.activations) == other.labels
    assert cell.accuracy == pytest.approx(right.mean())
    assert 0 < cell.accuracy < next(c for c in measured.cells if c.l1 == c.l2 == 1e-3).accuracy


def test_rows_are_read_in_blocks(train, dev, measured):
    """Views, which are never in memory as a whole, and much data give what small arrays give."""
    same = next(c for c in measured.cells if (c.l1, c.l2) == (1e-3, 0.0))
    much = tiled(dev, 200)
    assert len(list(row_blocks(much.activations.shape))) > 1
    views = (
        much,
        labelled(View(much.activations), much.labels),
        labelled(View(much.activations, rows=np.arange(250, 500)), dev.labels),
    )
    source = labelled(View(train.activations), train.labels)
    for view in views:
        [cell] = measure_grid(source, view, GridPlan((1e-3,), (0.0,)), share="15%", tol=TOL).cells
        assert (cell.accuracy, cell.top, cell.bottom) == (same.accuracy, same.top, same.bottom)


def test_report_counts_the_cells(train, dev):
    said: list[tuple[int, int, str]] = []
    plan = GridPlan((1e-3, 1e-2), (0.1,))
    measure_grid(train, dev, plan, report=lambda *news: said.append(news), tol=1e-4)
    assert said == [(0, 2, "l1=0.01, l2=0.1"), (1, 2, "l1=0.001, l2=0.1"), (2, 2, "done")]


def tiled(data: LabelledTokens, times: int) -> LabelledTokens:
    """More rows than a block of them holds."""
    return labelled(np.tile(data.activations, (times, 1)), np.tile(data.labels, times))


def broken(data: LabelledTokens, row: int, neuron: int, value: float) -> LabelledTokens:
    X = data.activations.copy()
    X[row, neuron] = value
    return labelled(X, data.labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b: (broken(a, 37, 5, np.nan), b), "neuron 5, sentence 4$"),
        (lambda a, b: (a, broken(b, 111, 7, np.inf)), "neuron 7, sentence 12$"),
        (lambda a, b: (a, broken(tiled(b, 200), 49_000, 7, np.nan)), "neuron 7, sentence 4901$"),
        (lambda a, b: (a, labelled(b.activations[:, 1:], b.labels)), "19 neurons, training 20"),
        (lambda a, b: (a, labelled(b.activations[:0], b.labels[:0])), "needs held-out tokens"),
    ],
)
def test_data_that_cannot_be_measured(train, dev, change, message):
    with pytest.raises(UserError, match=message):
        measure_grid(*change(train, dev), GridPlan((1e-2,), (1e-2,)), tol=1e-4)


@pytest.mark.parametrize(("share", "message"), [("0%", "at least one"), ("21", "more than the 20")])
def test_share_that_is_none(train, dev, share, message):
    with pytest.raises(UserError, match=message):
        measure_grid(train, dev, PLAN, share=share)


def cell(l1: float, l2: float, accuracy: float, top: float, bottom: float, **other) -> Cell:
    rest = {"nonzero": 9, "passes": 8, "objective": 0.5, "kkt_residual": 1e-7, "seconds": 0.1}
    return Cell(l1, l2, accuracy, top, bottom, **{"converged": True, **rest, **other})


def grid_of(*cells: Cell) -> Grid:
    return Grid(cells, "20%", 4, 1000, 1.5)


BY_HAND = grid_of(
    cell(0.0, 0.0, 0.90, 0.70, 0.60, converged=False),
    cell(0.0, 0.1, 0.91, 0.80, 0.50),
    cell(0.1, 0.0, 0.89, 0.85, 0.40),
    cell(0.1, 0.1, 0.85, 0.84, 0.20),
    cell(0.2, 0.0, 0.60, 0.60, 0.10),
    cell(0.2, 0.1, 0.50, 0.50, 0.50),
)


@pytest.mark.parametrize(
    ("margin", "picked"),
    [
        (0.0, (0.0, 0.1)),  # better than without regularisation is always good enough
        (0.009, (0.0, 0.1)),
        (0.01, (0.1, 0.0)),  # 0.90 - 0.89 is more than 0.01 in floating point
        (0.05, (0.1, 0.1)),
        (1.0, (0.1, 0.1)),
    ],
)
def test_pick_by_hand(margin, picked):
    found = BY_HAND.pick(margin)
    assert (found.l1, found.l2) == picked


def test_pick_agrees_with_a_loop():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.integers(0, 6, size=(3, 3, 3)) / 10
        cells = [cell(i, j, *values[i, j]) for i in range(3) for j in range(3)]
        best = None
        for one in cells:
            if round(10 * (values[0, 0, 0] - one.accuracy)) > 1:
                continue
            key = (round(10 * (one.top - one.bottom)), one.l1, one.l2)
            if best is None or key > best[0]:
                best = key, one
        assert grid_of(*cells).pick(0.1) is best[1]


def test_ties_go_to_the_stronger_l1_then_l2():
    # 0.9 - 0.6 and 0.8 - 0.5 differ in floating point.
    grid = grid_of(
        cell(0.0, 0.0, 0.9, 0.9, 0.6),
        cell(0.1, 0.0, 0.9, 0.9, 0.6),
        cell(0.1, 0.2, 0.9, 0.8, 0.5),
        cell(0.0, 0.3, 0.9, 0.9, 0.6),
    )
    assert (grid.pick().l1, grid.pick().l2) == (0.1, 0.2)


@pytest.mark.parametrize("margin", [-0.1, float("nan")])
def test_margin_below_zero(margin):
    with pytest.raises(UserError, match="margin"):
        BY_HAND.pick(margin)


def test_reference_without_the_free_cell_is_the_weakest():
    grid = grid_of(cell(0.1, 0.2, 0.8, 0.5, 0.4), cell(0.1, 0.1, 0.7, 0.5, 0.4))
    assert grid.reference.l2 == 0.1
    content = grid.to_json(0.5)
    assert content["reference"] == {"l1": 0.1, "l2": 0.1}
    assert content["picked"] == {"l1": 0.1, "l2": 0.2}


def test_rows_for_csv_and_json(measured):
    stream = io.StringIO()
    rows = measured.to_rows()
    writer = csv.DictWriter(stream, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    back = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert len(back) == 9
    for row, found in zip(back, measured.cells, strict=True):
        assert float(row["accuracy"]) == found.accuracy
        assert float(row["top_minus_bottom"]) == found.top - found.bottom
        assert int(row["nonzero"]) == found.nonzero
    content = json.loads(json.dumps(measured.to_json(0.02), allow_nan=False))
    assert content["cells"] == rows
    assert (content["margin"], content["held_out_tokens"], content["kept"]) == (0.02, 250, 3)


def svg_texts(path) -> list[str]:
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    return [(text.text or "").strip() for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_picture_holds_the_values_and_the_picked_cell(tmp_path):
    plot_grid(BY_HAND, tmp_path / "grid.svg", 0.01)
    texts = svg_texts(tmp_path / "grid.svg")
    for value in ("90.0*", "91.0", "89.0", "10.0*", "30.0", "45.0", "λ1", "λ2"):
        assert value in texts
    assert any("picked, λ1 = 0.1, λ2 = 0" in text for text in texts)
    assert any("not converged" in text for text in texts)
    plot_grid(BY_HAND, tmp_path / "plain.svg", None)
    plain = svg_texts(tmp_path / "plain.svg")
    assert not any("picked" in text for text in plain)
    again = tmp_path / "again.svg"
    plot_grid(BY_HAND, again, 0.01)
    assert again.read_bytes() == (tmp_path / "grid.svg").read_bytes()


def test_values_stand_in_their_cells():
    from matplotlib.figure import Figure

    from fairseq_neuron_plugin.probing.grid_plot import _draw

    axes = Figure().subplots()
    cells = BY_HAND.cells
    _draw(axes, BY_HAND, [0.0, 0.1, 0.2], [0.0, 0.1], [c.accuracy for c in cells], cells[2])
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    assert shown[(1, 0)] == "89.0"  # λ1 = 0.1, λ2 = 0
    assert shown[(0, 1)] == "91.0"  # λ1 = 0, λ2 = 0.1
    drawn = axes.collections[0].get_array().reshape(2, 3)
    np.testing.assert_allclose(drawn, [[90, 89, 60], [91, 85, 50]])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.1", "0.2"]
    for frame in axes.patches:
        assert frame.get_x() + frame.get_width() / 2 == pytest.approx(1)
        assert frame.get_y() + frame.get_height() / 2 == pytest.approx(0)


def test_small_strengths_are_written_alike(tmp_path):
    strengths = (0.0, 1e-7, 2.5e-4, 1e-3, 1e-2)
    grid = grid_of(*(cell(value, 1.0, 0.9, 0.8, 0.7) for value in strengths))
    plot_grid(grid, tmp_path / "grid.svg")
    texts = svg_texts(tmp_path / "grid.svg")
    assert {"0", "1e-7", "2.5e-4", "1e-3", "0.01", "1"} < set(texts)


@pytest.mark.parametrize("cells", [BY_HAND.cells, BY_HAND.cells[:1], BY_HAND.cells[:2]])
def test_png(tmp_path, cells):
    path = tmp_path / "grid.png"
    plot_grid(grid_of(*cells), path)
    first = path.read_bytes()
    assert first.startswith(b"\x89PNG")
    plot_grid(grid_of(*cells), path)
    assert path.read_bytes() == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["grid.png"]


def test_picture_of_another_kind(tmp_path):
    with pytest.raises(UserError, match=r"\.png or \.svg"):
        plot_grid(BY_HAND, tmp_path / "grid.bmp")
    assert not list(tmp_path.iterdir())
