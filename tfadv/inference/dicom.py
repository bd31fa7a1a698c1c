"""A label map as a DICOM segmentation that refers to the series that it was made from."""

from pathlib import Path

import numpy as np

from tfadv.inference.description import Description
from tfrecords.errors import UserError
from tfrecords.files import writing
from tfrecords.geometry.dicom import read_series
from tfrecords.sources.subject import class_indices

ENDING = ".dcm"
LONGEST_LABEL = 64  # Characters of DICOM's LO.
SCHEME = "99TFADV"  # Of codes that are a model's own.
TISSUE = ("85756007", "SCT", "Tissue")
SERIES_NUMBER = 1  # Added to a hundred times the source's, as scanners do for what they derive.


def is_segmentation(path: Path) -> bool:
    """Whether a file of this name is a DICOM segmentation."""
    return path.suffix.lower() == ENDING


def write_segmentation(
    path: Path, label: np.ndarray, folder: Path, description: Description, version: str
) -> None:
    """Writes a label map atomically, with a binary segment for each class but the background.

    Args:
        label: [X, Y, Z] in the dataset's label values, on the grid of the series.
        folder: of the series.
        version: of the model: its checksum, for example.

    Raises:
        UserError: the series lacks what a segmentation must say of its patient or study.
    """
    # Imported where it is used: most label maps are NIfTI.
    import highdicom as hd  # noqa: PLC0415
    from pydicom import dcmread  # noqa: PLC0415
    from pydicom.sr.codedict import codes  # noqa: PLC0415

    slices = [dcmread(file, stop_before_pixels=True) for file in read_series(folder).files]
    methods = description.methods[:LONGEST_LABEL]
    algorithm = hd.AlgorithmIdentificationSequence(
        methods, codes.DCM.ArtificialIntelligence, version
    )
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=one.name[:LONGEST_LABEL],
            segmented_property_category=hd.sr.CodedConcept(*TISSUE),
            segmented_property_type=hd.sr.CodedConcept(
                f"{description.dataset}.{one.labels[0]}", SCHEME, one.name[:LONGEST_LABEL]
            ),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, one in enumerate(description.classes[1:], 1)
    ]
    indices = class_indices(label, description.classes)
    try:
        segmentation = hd.seg.Segmentation(
            slices,
            np.ascontiguousarray(indices.T),
            hd.seg.SegmentationTypeValues.BINARY,
            segments,
            series_instance_uid=hd.UID(),
            series_number=100 * int(slices[0].get("SeriesNumber") or 0) + SERIES_NUMBER,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="tfadv",
            manufacturer_model_name=methods,
            software_versions=version,
            device_serial_number=version,
            content_label="SEGMENTATION",
            series_description=f"Segmentation by {methods}"[:LONGEST_LABEL],
            omit_empty_frames=bool(indices.any()),
        )
    except (AttributeError, ValueError, TypeError) as error:  # What highdicom raises of sources.
        raise UserError(
            f"{folder}: expected a series that a DICOM segmentation can refer to, received one of "
            f"which this cannot be said: {error}. Give an --output that ends in .nii.gz"
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as temporary:
        segmentation.save_as(temporary)
