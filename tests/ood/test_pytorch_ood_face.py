"""The method names of pytorch-ood give the detector's own scores, with the same sign."""

from __future__ import annotations

import pytest
import torch
from blobs import images

from separatrix import ood
from separatrix.errors import InputError
from separatrix.ood import PytorchOODFace


def test_the_scores_are_those_of_the_detector_and_labelled_outliers_are_left_out(wells):
    x, far = images(80), images(20, seed=1) + 9
    labels = torch.cat([torch.zeros(80), -torch.ones(20)])
    face = PytorchOODFace(ood.ReconstructionDetector(wells)).fit([(torch.cat([x, far]), labels)])
    own = ood.ReconstructionDetector(wells).fit(x)
    assert torch.equal(face(far), own.score(far))
    assert torch.equal(face.detector.calibration, own.calibration)
    assert face.predict(far).min() > face.predict(x).max()


def test_latents(wells):
    z = wells.encode(images(80))
    face = PytorchOODFace(ood.KNNDetector(wells)).fit_features(z, torch.zeros(80))
    assert torch.equal(face.predict_features(z), ood.KNNDetector(wells).fit_features(z).score_features(z))


def test_an_empty_loader(wells):
    with pytest.raises(InputError, match="empty"):
        PytorchOODFace(ood.KNNDetector(wells)).fit([])
