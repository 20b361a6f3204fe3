"""Small made-up slides in the archives and addresses of the 26 datasets' real sources.

Every slide has 42 spots on a hexagonal lattice and an image whose red grows with x and whose green
grows with y, so that the colour of a patch says where it was cut.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
import zlib

import h5py
import numpy as np
from scipy import sparse

from spared_bench.processing.annotation import gene_table
from spared_bench_plugins.datasets.spared import read_catalogue

WIDTH, HEIGHT = 400, 300  # full resolution
HIRES = 0.25
SPOTS = [(row, col) for row in range(6) for col in range(row % 2, 14, 2)]
BARCODES = [f"ACGT{i:02d}-1" for i in range(len(SPOTS))]
CENTRES = np.array([(40 + 20 * col, 40 + 20 * 3**0.5 * row) for row, col in SPOTS])
DIAMETER = 24.0
MENDELEY = "https://prod-dcd-datasets-cache-zipfiles.s3.eu-west-1.amazonaws.com"
DEGRADED = (
    "Spatially resolved transcriptomic profiling of degraded and challenging fresh frozen samples"
    " Supplementary Data"
)
TISSUES = {  # of Mirzazadeh's archives, by the published library's name of the dataset
    "colon": "colon",
    "pediatric_brain_tumor": "pediatricbraintumor",
    "prostate_cancer": "prostatecancer",
    "small_intestine": "smallintestine",
    "bone": "mousebone",
    "mouse_brain": "mousebrain",
}


def genes(organism, number=30):
    """Ensembl ids and symbols of some genes."""
    table = gene_table(organism)
    table = table[~table["gene_name"].duplicated(keep=False)]
    chosen = table.iloc[:: len(table) // number][:number]
    return list(chosen.index), list(chosen["gene_name"])


def counts(slide, number=30):
    """Counts that follow the place of a spot, (n_spots, n_genes)."""
    rng = np.random.default_rng(zlib.crc32(slide.encode()))
    waves = np.sin(CENTRES @ rng.normal(size=(2, number)) / 60)
    return rng.poisson(np.exp(2.5 + waves))


def matrix_h5(slide, organism):
    ids, symbols = genes(organism)
    columns = sparse.csc_matrix(counts(slide).T)
    packed = io.BytesIO()
    with h5py.File(packed, "w") as file:
        group = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(columns, name)
        group["shape"] = columns.shape
        group["barcodes"] = np.array(BARCODES, dtype="S")
        features = group.create_group("features")
        features["id"] = np.array(ids, dtype="S")
        features["name"] = np.array(symbols, dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * len(ids), dtype="S")
    return packed.getvalue()


def positions():
    """A position file of Space Ranger 1, with two spots beside the tissue, in another order."""
    lines = [
        f"{barcode},1,{row},{col},{y:.0f},{x:.0f}"
        for barcode, (row, col), (x, y) in zip(BARCODES, SPOTS, CENTRES, strict=True)
    ]
    return "\n".join([*reversed(lines), "TTTT00-1,0,6,0,248,40", "TTTT01-1,0,6,2,248,80"]).encode()


def scale_factors():
    factors = {"spot_diameter_fullres": DIAMETER, "tissue_hires_scalef": HIRES}
    return json.dumps(factors | {"fiducial_diameter_fullres": 40.0}).encode()


def painting(scale=1.0, top=255):
    """The image of every slide, (height, width, 3)."""
    height, width = round(HEIGHT * scale), round(WIDTH * scale)
    pixels = np.zeros((height, width, 3))
    pixels[..., 0] = (np.arange(width) + 0.5)[None, :] / width
    pixels[..., 1] = (np.arange(height) + 0.5)[:, None] / height
    pixels[..., 2] = 0.5
    return (pixels * top).astype(np.uint8 if top == 255 else np.uint16)


def image(pixels, suffix):
    import pyvips

    return bytes(pyvips.Image.new_from_array(pixels).write_to_buffer(suffix))


def stains(pixels):
    """A 16-bit TIFF with one page for each of two stains."""
    import pyvips

    tall = np.concatenate([pixels[..., stain] for stain in (0, 1)])
    return bytes(pyvips.Image.new_from_array(tall).tiffsave_buffer(page_height=len(pixels)))


def space_ranger(slide, organism, prefix="", spatial="spatial/", hires=True):
    """The files of a Space Ranger output, by path."""
    files = {
        "filtered_feature_bc_matrix.h5": matrix_h5(slide, organism),
        f"{spatial}scalefactors_json.json": scale_factors(),
        f"{spatial}tissue_positions_list.csv": positions(),
    }
    if hires:
        files[f"{spatial}tissue_hires_image.png"] = image(painting(HIRES), ".png")
    return {prefix + path: content for path, content in files.items()}


def zipped(files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return packed.getvalue()


def tarred(files, mode="w:gz"):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def everything():
    """All that the sources of the 26 datasets serve: content by address."""
    catalogue = read_catalogue()
    slides: dict[str, dict[str, tuple[str, str]]] = {}
    for entry in catalogue["datasets"].values():
        for slide in entry["slides"]:
            known = slides.setdefault(entry["source"], {})
            known[slide] = (entry["organism"], entry["library"])
    served = {}
    for source, publish in PUBLISHERS.items():
        served |= publish(slides[source], catalogue)
    return served


def vicari(slides, catalogue):
    served = {}
    for entry in catalogue["datasets"].values():
        for slide, numbers in entry.get("numbers", {}).items():
            files = space_ranger(slide, entry["organism"])
            contents = [
                files["spatial/scalefactors_json.json"],
                files["filtered_feature_bc_matrix.h5"],
                files["spatial/tissue_positions_list.csv"],
                files["spatial/tissue_hires_image.png"],
                image(painting(), ".jpg"),
            ]
            for number, content in zip(numbers, contents, strict=True):
                served[f"https://figshare.scilifelab.se/ndownloader/files/{number}"] = content
    return served


def mirzazadeh(slides, _):
    first, second, tars = {}, {}, {}
    picture = image(painting(0.5), ".jpg")
    for number, (slide, (organism, library)) in enumerate(slides.items()):
        tissue = next(tissue for part, tissue in TISSUES.items() if part in library)
        tars.setdefault(tissue, {}).update(
            space_ranger(slide, organism, prefix=f"{tissue}/{slide}/")
        )
        if tissue == "smallintestine":
            name = slide.replace("-", "_", 1) if number % 2 else slide
            second[f"{DEGRADED} 2/smallintestine/{name}.jpg"] = picture
        else:
            folder = "prostate cancer" if tissue == "prostatecancer" else tissue
            first[f"{DEGRADED} 1/images/{folder}/{slide}_HE.jpg"] = picture
    for tissue, files in tars.items():
        first[f"{DEGRADED} 1/spaceranger_output/{tissue}.tar.gz"] = tarred(files)
    return {
        f"{MENDELEY}/4w6krnywhn-1.zip": zipped(first),
        f"{MENDELEY}/442mhsrpcm-1.zip": zipped(second),
    }


def parigi(slides, _):
    regions = {"A1_S1": ("GSM5213483", "Region1_colon_d0")}
    regions["B1_S2"] = ("GSM5213484", "Region2_colon_d14")
    flat = {}
    for slide, (organism, _library) in slides.items():
        sample, region = regions[slide]
        _, symbols = genes(organism)
        values = counts(slide) / 3.0
        header = "\t".join(["gene", *(f"{barcode}_1" for barcode in BARCODES)])
        rows = [
            "\t".join([symbol, *(f"{v:.5f}" for v in row)])
            for symbol, row in zip(symbols, values.T, strict=True)
        ]
        files = {
            "tissue_positions_list.csv": positions(),
            "scalefactors_json.json": scale_factors(),
            "normalized_data.tsv": "\n".join([header, *rows]).encode(),
            f"{region}_rotated.tif": image(painting(top=65535), ".tif"),
        }
        for name, content in files.items():
            flat[f"{sample}_V19S23-097_{slide}_{name}.gz"] = gzip.compress(content)
    url = "https://www.ncbi.nlm.nih.gov/geo/download/?acc=GSE169749&format=file"
    return {url: tarred(flat, mode="w")}


def villacampa(slides, catalogue):
    data, images = {}, {}
    for slide, (organism, library) in slides.items():
        tissue = "".join(library.split("_")[1:])
        data |= space_ranger(slide, organism, prefix=f"data/{tissue}/{slide}/")
        images[f"images/{slide}.jpg"] = image(painting(), ".jpg")
    first, second = (
        archive["url"] for archive in catalogue["sources"]["villacampa_2021"]["archives"]
    )
    return {first: tarred(data), second: tarred(images)}


def erickson(slides, _):
    top = "Spatially resolved clonal copy number alterations in benign and malignant tissueJus"
    files = {}
    for slide, (organism, _library) in slides.items():
        patient, section = slide[1], slide.partition("_")[2].replace("-", "_")
        inner = "Visium_with_annotation/" if patient == "1" else ""
        matrices = f"{top}/Count_matrices/Patient {patient}/{inner}{section}/"
        files |= space_ranger(slide, organism, prefix=matrices, spatial="", hires=False)
        thumbnails = f"{top}/10x_spaceranger_tissue_highres_images/Patient {patient}"
        files[f"{thumbnails}/{section}.png"] = image(painting(HIRES), ".png")
        visium = "Visium/" if patient == "1" else ""
        picture = f"{top}/Histological_images/Patient_{patient}/{visium}{section}.jpg"
        files[picture] = image(painting(0.5), ".jpg")
    return {f"{MENDELEY}/svw96g68dv-4.zip": zipped(files)}


def abalo(slides, _):
    files = {}
    for slide, (organism, _library) in slides.items():
        files |= space_ranger(slide, organism, prefix=f"{slide}/")
        files[f"{slide}/{slide}.jpg"] = image(painting(), ".jpg")
    return {f"{MENDELEY}/2bh5fchcv6-1.zip": zipped(files)}


def fan(slides, _):
    sections = {"HC_A1": "HC1", "HC_B1": "HC2", "MOB_C1": "MOB1", "MOB_D1": "MOB2"}
    base = "Ex-ST/processed_data"
    files = {f"{base}/stereoscope_output_modified_visium/W.tsv": b"not needed"}
    for slide, (organism, _library) in slides.items():
        section, area = sections[slide], slide.partition("_")[2]
        output = f"{base}/spaceranger_output/modified_visium_{section}/"
        files |= space_ranger(slide, organism, prefix=output)
        standard = f"{base}/spaceranger_output/standard_visium_{section}/"
        files |= space_ranger(slide, organism, prefix=standard)
        files[f"Ex-ST/raw_imgs/modified_visium_{section}_{area}.jpg"] = image(painting(), ".jpg")
    return {f"{MENDELEY}/nrbsxrk9mp-1.zip": zipped(files)}


def tenx(slides, catalogue):
    served = {}
    fluorescent = {
        slide
        for entry in catalogue["datasets"].values()
        if entry["image"] == "fluorescence"
        for slide in entry["slides"]
    }
    for slide, (organism, _library) in slides.items():
        base = f"https://cf.10xgenomics.com/samples/spatial-exp/1.1.0/{slide}/{slide}"
        files = space_ranger(slide, organism)
        served[f"{base}_filtered_feature_bc_matrix.h5"] = files.pop("filtered_feature_bc_matrix.h5")
        served[f"{base}_spatial.tar.gz"] = tarred(files)
        served[f"{base}_image.tif"] = (
            stains(painting(top=65535)) if slide in fluorescent else image(painting(), ".tif")
        )
    return served


PUBLISHERS = {
    "vicari_2023": vicari,
    "mirzazadeh_2023": mirzazadeh,
    "parigi_2022": parigi,
    "villacampa_2021": villacampa,
    "erickson_2022": erickson,
    "abalo_2021": abalo,
    "fan_2023": fan,
    "tenx_genomics": tenx,
}
