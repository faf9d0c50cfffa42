"""Builds the compiled core, or the load generator, which is no part of the package.

Environment variables:

``FASTGATE_SANITIZE=1``
    AddressSanitizer and UndefinedBehaviorSanitizer (run Python with ``LD_PRELOAD=$(gcc -print-file-name=libasan.so)``).
``FASTGATE_LINETRACE=1``
    Cython line tracing, for coverage of the compiled units.
``FASTGATE_BUILD_IN=loadtest``
    The units of that folder instead of the core's.
``FASTGATE_BUILD_ONLY=name,name``
    Only these units.
"""

import os
import platform
from pathlib import Path

from setuptools import Extension, setup

FOLDER = Path(os.environ.get("FASTGATE_BUILD_IN", "fastgate/_core"))
SANITIZE = os.environ.get("FASTGATE_SANITIZE") == "1"
LINETRACE = os.environ.get("FASTGATE_LINETRACE") == "1"
ONLY = set(filter(None, os.environ.get("FASTGATE_BUILD_ONLY", "").split(",")))

# Generated code trips three of the stricter warnings; everything else is an error.
COMPILE = [
    "-O3",
    "-std=gnu11",
    "-Wall",
    "-Werror",
    "-Wno-unused-function",
    "-Wno-sign-compare",
    "-Wno-unreachable-code",
    "-fno-strict-aliasing",
]
LINK: list[str] = []
if platform.machine() == "x86_64":
    COMPILE.append("-mcx16")  # cmpxchg16b: in every x86-64 processor since 2006
if SANITIZE:
    COMPILE += ["-O1", "-g", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
    LINK += ["-fsanitize=address,undefined"]
else:
    COMPILE.append("-g0")  # Python's own flags ask for debugging symbols, four times the size of the code


def extensions() -> list[Extension]:
    macros = [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")] if LINETRACE else []
    return [
        Extension(
            ".".join((*FOLDER.parts, source.stem)),
            [str(source)],
            include_dirs=[str(FOLDER)],
            depends=[str(path) for path in (*sorted(FOLDER.glob("*.pxd")), *sorted(FOLDER.glob("*.h")))],
            extra_compile_args=COMPILE,
            extra_link_args=LINK,
            define_macros=macros,
        )
        for source in sorted(FOLDER.glob("*.pyx"))
        if not ONLY or source.stem in ONLY
    ]


def cythonized() -> list[Extension]:
    from Cython.Build import cythonize
    from Cython.Compiler import Options

    Options.warning_errors = True
    return cythonize(
        extensions(),
        annotate=True,
        quiet=True,
        language_level=3,
        compiler_directives={
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
            "embedsignature": True,
            "freethreading_compatible": False,
            "linetrace": LINETRACE,
        },
    )


# Units compile independently of each other.
setup(ext_modules=cythonized(), options={"build_ext": {"parallel": len(os.sched_getaffinity(0))}})
