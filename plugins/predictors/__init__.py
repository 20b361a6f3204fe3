"""The specs of the built-in predictors; everything else of a predictor is in its own file.

The files import torch, and are imported when a predictor is run or described: listing is quick.
"""

from __future__ import annotations

from spared_bench import PredictorSpec, Stage, hookimpl

_HERE = "spared_bench_plugins.predictors"
_IMAGENET = "ImageNet-1k classification"
_RATES = (1e-2, 1e-3, 1e-4, 1e-5)


PREDICTORS: tuple[PredictorSpec, ...] = (
    PredictorSpec(
        "gene-mean",
        f"{_HERE}.gene_mean:GeneMean",
        summary="Control: the training mean of each gene, whatever the patch",
        licence="MIT",
        control=True,
    ),
    PredictorSpec(
        "shuffled",
        f"{_HERE}.shuffled:Shuffled",
        summary="Control: the linear probe's values dealt to random spots of the slide",
        licence="MIT",
        control=True,
        scope="slide",
    ),
    PredictorSpec(
        "linear-probe",
        f"{_HERE}.linear_probe:LinearProbe",
        summary="Ridge regression on colour features, or on those of a frozen backbone",
        licence="MIT",
        encoder="backbone",
        search={"alpha": (1.0, 10.0, 100.0, 1_000.0, 10_000.0)},
    ),
    PredictorSpec(
        "shufflenet",
        f"{_HERE}.shufflenet:ShuffleNet",
        summary="ShuffleNet V2 x0.5 on the spot's own patch",
        citation="Ma et al., ECCV 2018, doi:10.1007/978-3-030-01264-9_8",
        licence="MIT",
        pretraining=_IMAGENET,
        search={"lr": _RATES},
    ),
    PredictorSpec(
        "vit-b",
        f"{_HERE}.vit_b:ViTB",
        summary="ViT-B/16 on the spot's own patch",
        citation="Dosovitskiy et al., ICLR 2021",
        licence="MIT",
        pretraining=_IMAGENET,
        gpu=True,
        search={"lr": _RATES},
    ),
    PredictorSpec(
        "vit-b-delta",
        f"{_HERE}.vit_b_delta:ViTBDelta",
        summary="ViT-B/16 that learns the difference from the training mean of each gene",
        citation="Mejia et al., ICCV Workshops 2023",
        licence="MIT",
        pretraining=_IMAGENET,
        gpu=True,
        search={"lr": _RATES},
    ),
    PredictorSpec(
        "st-net",
        f"{_HERE}.st_net:STNet",
        summary="DenseNet-121 on the spot's own patch, mean over its eight symmetries",
        citation="He et al., Nat. Biomed. Eng. 2020, doi:10.1038/s41551-020-0578-x",
        licence="MIT",
        pretraining=_IMAGENET,
        gpu=True,
        search={"lr": _RATES},
    ),
    PredictorSpec(
        "bleep",
        f"{_HERE}.bleep:Bleep",
        summary="Contrastive embedding of patch and expression; mean of the nearest spots",
        citation="Xie et al., NeurIPS 2023",
        licence="MIT",
        pretraining=_IMAGENET,
        gpu=True,
        search={"lr": _RATES},
    ),
    PredictorSpec(
        "histogene",
        f"{_HERE}.histogene:HisToGene",
        summary="Transformer over all spots of a slide, a patch being a token",
        citation="Pang, Su and Li, bioRxiv 2021, doi:10.1101/2021.11.28.470212",
        licence="MIT",
        scope="slide",
        search={"lr": _RATES},
    ),
    PredictorSpec(
        "egn",
        f"{_HERE}.egn:EGN",
        summary="Transformer over tiles of the patch, guided by training spots that look alike",
        citation="Yang et al., WACV 2023, github.com/Yan98/EGN",
        licence="MIT",
        pretraining=_IMAGENET,
        encoder="encoder",
        search={"lr": _RATES},
    ),
    PredictorSpec(
        "eggn",
        f"{_HERE}.eggn:EGGN",
        summary="Graph of the slide's spots and of the training spots that resemble them",
        citation="Yang et al., Pattern Recognition 2024, github.com/Yan98/EGN",
        licence="MIT",
        extras=("torch_geometric",),
        scope="slide",
        pretraining=_IMAGENET,
        encoder="encoder",
        search={"lr": _RATES},
    ),
    PredictorSpec(
        "sepal",
        f"{_HERE}.sepal:SEPAL",
        summary="ViT-B on differences from the mean, corrected by a graph of the neighbours",
        citation="Mejia, Cardenas et al., ICCV workshops 2023, github.com/BCV-Uniandes/SEPAL",
        licence="MIT",
        extras=("torch_geometric",),
        scope="neighbourhood",
        pretraining=_IMAGENET,
        stages={
            "first": Stage(
                "vit-b-delta",
                taken={"lr": "first_lr", "backbone": "backbone", "weights": "weights"},
            )
        },
        search={"lr": _RATES},
    ),
    PredictorSpec(
        "hist2st",
        f"{_HERE}.hist2st:Hist2ST",
        summary="ConvMixer, transformer over the slide and graph layers, with ZINB loss",
        citation="Zeng et al., Brief. Bioinform. 2022, doi:10.1093/bib/bbac297",
        licence="MIT",
        scope="slide",
        search={"lr": _RATES},
    ),
)


@hookimpl
def spared_bench_predictors() -> list[PredictorSpec]:
    return list(PREDICTORS)
