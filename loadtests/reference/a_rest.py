"""The reference's A-REST: a plain function under FastAPI. `python -m loadtests.reference.a_rest`"""

import sys

from loadtests.reference.serving import serve_rest


def hello(name: str = "mundo") -> dict[str, str]:
    return {"message": f"Olá, {name}! [A-REST]"}


if __name__ == "__main__":
    raise SystemExit(serve_rest("a-rest", 50_061, {"/a/hello": hello}, sys.argv[1:]))
