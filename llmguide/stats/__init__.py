"""Is it more than luck? Tests between runs, intervals over bars, and corrections for how much was tried.

significance    two runs of numbers: paired and one-sample t tests, Wilcoxon's test, Holm's correction of many tests
bootstrap       one or two series of returns: intervals of Sharpe ratio and maximum drawdown by the stationary bootstrap
sharpe          one series of returns: probabilistic and deflated Sharpe ratio, minimum track record
shares          a share of hits: Wilson's interval, and one by a bootstrap over clusters
skill           directions against what happened: accuracy, balanced accuracy, Matthews correlation coefficient
agreement       several observers: Krippendorff's alpha, and intervals over observations and observers
calibration     stated probabilities: Brier score, calibration error, reliability curve, functions that calibrate
overfitting     all series of a search: the probability that its best setting was fitted to chance

They answer different questions. Tests over seeds say whether another training would come out the same way, intervals
over bars whether another stretch of the same market would, the rest whether the best of many is as good as it looks.

A statistic that the data do not determine is NaN, never infinite.
"""

from llmguide.stats.agreement import Alpha, crossed_interval, krippendorff_alpha
from llmguide.stats.bootstrap import (
    Interval,
    Intervals,
    block_length,
    bootstrap_difference,
    bootstrap_intervals,
    optimal_block,
)
from llmguide.stats.calibration import (
    Calibrator,
    IsotonicCalibrator,
    PlattCalibrator,
    ReliabilityBin,
    brier_score,
    expected_calibration_error,
    fit_calibrator,
    reliability_curve,
)
from llmguide.stats.overfitting import Overfitting, pbo, pbo_of_sums
from llmguide.stats.shares import clustered_interval, wilson_interval
from llmguide.stats.sharpe import (
    DeflatedSharpe,
    ReturnMoments,
    deflated_sharpe,
    expected_best_sharpe,
    min_track_record,
    probabilistic_sharpe,
    return_moments,
)
from llmguide.stats.significance import PairedTests, TestResult, holm, one_sample_t, paired_t, paired_tests, wilcoxon
from llmguide.stats.skill import Measured, Skill, directional_skill

__all__ = [
    "Alpha",
    "Calibrator",
    "DeflatedSharpe",
    "Interval",
    "Intervals",
    "IsotonicCalibrator",
    "Measured",
    "Overfitting",
    "PairedTests",
    "PlattCalibrator",
    "ReliabilityBin",
    "ReturnMoments",
    "Skill",
    "TestResult",
    "block_length",
    "bootstrap_difference",
    "bootstrap_intervals",
    "brier_score",
    "clustered_interval",
    "crossed_interval",
    "deflated_sharpe",
    "directional_skill",
    "expected_best_sharpe",
    "expected_calibration_error",
    "fit_calibrator",
    "holm",
    "krippendorff_alpha",
    "min_track_record",
    "one_sample_t",
    "optimal_block",
    "paired_t",
    "paired_tests",
    "pbo",
    "pbo_of_sums",
    "probabilistic_sharpe",
    "reliability_curve",
    "return_moments",
    "wilcoxon",
    "wilson_interval",
]
