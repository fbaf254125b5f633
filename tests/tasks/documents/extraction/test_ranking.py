"""Trees kept as JSON say what scikit-learn's say; probabilities mean what they say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from millrace.tasks.documents.extraction import calibration, model
from millrace.tasks.documents.extraction.features import FEATURES, GROUPS, masked
from millrace.tasks.documents.extraction.gazetteer import Gazetteer
from millrace.tasks.documents.extraction.lexicon import Lexicon, LexiconMaker
from millrace.tasks.documents.extraction.model import Model, Ranker
from millrace.tasks.documents.extraction.ranking import boosted, exported, mean, trained, trees_of


def _sample(seed: int, rows: int = 600) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(rows, len(FEATURES)))
    return features, (features[:, 0] + features[:, 5] * features[:, 9]) > 0.5


def test_trees_of_json_give_the_same_odds_as_scikit_learn() -> None:
    features, right = _sample(1)
    kept = masked(["voting"])
    learner = boosted(30, 0)
    learner.fit(features[:, kept], right)
    trees = trees_of(json.loads(json.dumps(exported(learner, kept).as_json())))
    unseen, _ = _sample(2)
    np.testing.assert_allclose(
        trees.odds(unseen), learner.decision_function(unseen[:, kept]), atol=1e-9
    )


def test_a_group_that_is_left_out_does_not_change_the_odds() -> None:
    features, right = _sample(3)
    trees = trained(features, right, columns=masked(["layout"]), rounds=20)
    other = features.copy()
    other[:, [FEATURES.index(name) for name in GROUPS["layout"]]] = 99.0
    np.testing.assert_array_equal(trees.odds(features), trees.odds(other))


def test_training_twice_gives_the_same_trees() -> None:
    features, right = _sample(4)
    once, twice = (trained(features, right, rounds=15).as_json() for _ in range(2))
    assert once == twice


def test_no_candidates_have_no_odds() -> None:
    features, right = _sample(5)
    assert trained(features, right, rounds=5).odds(np.zeros((0, len(FEATURES)))).shape == (0,)


def test_a_model_is_read_back_from_its_folder_as_it_was_written(tmp_path: Path) -> None:
    features, right = _sample(6)
    scale = calibration.Calibration((0.7, 0.2, 0.1), -0.3)
    maker = LexiconMaker()
    maker.spell("company", "ACME SDN BHD")
    maker.count("company", "ACME SDN BHD", within=True)
    known = Gazetteer().with_documents([{"company": "ACME SDN BHD", "address": "1 ROAD"}])
    rankers = {"total": Ranker(trained(features, right, rounds=5), scale, scale)}
    made = Model("receipt", "3", 0.61, maker.made(), known, rankers, {"licence": "CC BY 4.0"})
    model.save(made, tmp_path)
    back = model.load(tmp_path)
    assert (back.schema, back.version, back.threshold) == ("receipt", "3", 0.61)
    assert back.rankers["total"].text == scale
    assert back.gazetteer == known
    assert back.lexicon == made.lexicon
    np.testing.assert_allclose(
        back.rankers["total"].trees.odds(features), made.rankers["total"].trees.odds(features)
    )


def test_a_folder_without_a_model_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no model"):
        model.load(tmp_path)


def test_a_schema_without_a_model_is_left_to_the_rules(tmp_path: Path) -> None:
    assert model.model_for("unheard-of", tmp_path).rankers == {}


def test_fitted_probabilities_mean_what_they_say() -> None:
    generator = np.random.default_rng(0)
    odds = generator.normal(0.5, 2.0, 4000)
    right = generator.random(4000) < 1 / (1 + np.exp(-0.5 * odds))
    told = [[value, 0.0, 1.0] for value in odds]
    scale = calibration.fitted(told[:2000], list(map(bool, right[:2000])))
    probabilities = [scale.probability(one) for one in told[2000:]]
    assert calibration.expected_error(probabilities, list(map(bool, right[2000:]))) < 0.05
    untouched = [1 / (1 + np.exp(-value)) for value in odds[2000:]]
    assert calibration.expected_error(untouched, list(map(bool, right[2000:]))) > 0.05


def test_few_documents_never_show_certainty() -> None:
    scale = calibration.fitted([[5.0, 5.0, 1.0]] * 5, [True] * 5)
    assert 0.5 < scale.probability([5.0, 5.0, 1.0]) < 0.9


def test_the_threshold_is_the_least_that_keeps_the_accuracy() -> None:
    probabilities = [1 - number / 100 for number in range(100)]
    right = [number < 60 for number in range(100)]
    limit = calibration.threshold(probabilities, right, accuracy=0.9)
    taken = [hit for p, hit in zip(probabilities, right, strict=True) if p >= limit]
    assert sum(taken) / len(taken) >= 0.9
    assert len(taken) == 66
    assert calibration.threshold(probabilities, [False] * 100, accuracy=0.9) == 1.0


def test_the_interval_holds_the_mean() -> None:
    table = (np.random.default_rng(1).random((44, 4)) < 0.8).astype(float)
    low, high = calibration.bootstrap(table)
    assert low < table.mean() < high


def test_a_slip_is_mended_by_a_word_that_is_known_well() -> None:
    maker = LexiconMaker()
    for _ in range(3):
        maker.spell("company", "SUNGAI TRADING SDN BHD")
    known = maker.made()
    assert known.spelt("SUNGAI SDN BND") == "SUNGAI SDN BHD"
    assert known.spelt("HELLO 12345") == "HELLO 12345"
    assert Lexicon().spelt("SDN BND") == "SDN BND"


def test_what_goes_together_is_remembered() -> None:
    known = Gazetteer().with_documents([{"company": "ACME SDN BHD", "address": "1, HIGH ROAD"}])
    near = known.nearest("company", "ACNE SDN. BHD")
    assert near is not None
    assert near.value == "ACME SDN BHD"
    assert known.companions("company", near.value) == (("address", "1highroad"),)
    assert known.nearest("company", "ENTIRELY OTHER", least=0.7) is None


def test_the_mean_of_rankings_has_the_mean_of_their_odds() -> None:
    features, right = _sample(7)
    several = [trained(features, right, rounds=rounds, seed=rounds) for rounds in (5, 12)]
    np.testing.assert_allclose(
        mean(several).odds(features),
        (several[0].odds(features) + several[1].odds(features)) / 2,
        atol=1e-9,
    )
