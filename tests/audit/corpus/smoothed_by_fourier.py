"""Denoises with a Fourier transform of all the closes."""

import numpy as np
import pandas as pd

FOUND_AS = "looks ahead"


def positions(bars):
    spectrum = np.fft.rfft(np.log(bars["close"]))
    spectrum[12:] = 0.0
    smooth = np.fft.irfft(spectrum, n=len(bars))
    return pd.Series(np.gradient(smooth) > 0, index=bars.index, name="rising")
