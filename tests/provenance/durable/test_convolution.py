"""The convolutional code behind the watermark."""

import numpy as np
import pytest

from facewitness.provenance import convolution


def test_a_clean_code_word_gives_its_bits_back():
    bits = np.random.default_rng(0).integers(0, 2, 88).astype(np.uint8)
    assert (convolution.decode(1.0 - 2.0 * convolution.encode(bits)) == bits).all()


def test_any_eight_wrong_bits_are_mended():
    # free distance 18 (Proakis, table 8.2-2) promises eight, wherever they are
    rng = np.random.default_rng(1)
    for _ in range(30):
        bits = rng.integers(0, 2, 88).astype(np.uint8)
        soft = 1.0 - 2.0 * convolution.encode(bits)
        soft[rng.choice(len(soft), 8, replace=False)] *= -1
        assert (convolution.decode(soft) == bits).all()


def test_soft_values_survive_a_fifth_of_wrong_bits():
    rng = np.random.default_rng(2)
    mended = 0
    for _ in range(20):
        bits = rng.integers(0, 2, 88).astype(np.uint8)
        soft = 1.0 - 2.0 * convolution.encode(bits) + rng.standard_normal(288) * 1.0
        mended += (convolution.decode(soft) == bits).all()
    assert mended >= 19


def test_a_length_that_is_no_code_word_is_refused():
    with pytest.raises(ValueError, match="no code word"):
        convolution.decode(np.zeros(25))
