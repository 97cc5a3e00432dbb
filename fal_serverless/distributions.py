"""Which distribution brings a module."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Only those whose names differ; what is installed here is asked first.
NAMES = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "IPython": "ipython",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cairosvg": "CairoSVG",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "git": "GitPython",
    "google.cloud.bigquery": "google-cloud-bigquery",
    "google.cloud.storage": "google-cloud-storage",
    "google.protobuf": "protobuf",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "kafka": "kafka-python",
    "magic": "python-magic",
    "mpl_toolkits": "matplotlib",
    "osgeo": "gdal",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "usb": "pyusb",
    "win32api": "pywin32",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}


@cache
def _installed() -> Mapping[str, list[str]]:
    """Distributions by the modules that they bring here: reads all of them, a tenth of a second."""
    from importlib import metadata

    return metadata.packages_distributions()


def distribution_of(module: str) -> str:
    """The name to require for a module: as installed here, as is well known, or its own."""
    top = module.partition(".")[0]
    if module in NAMES:
        return NAMES[module]
    installed = _installed().get(top, [])
    # Namespace packages such as `google` belong to many.
    if len(set(installed)) == 1:
        return str(installed[0])
    return NAMES.get(top, top)
