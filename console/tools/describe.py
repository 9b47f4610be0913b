"""Prints the OpenAPI document of the service, from which the types of the client are made."""

import json
import sys
from typing import Any, cast

from gigawatt.api.application import all_routers, build_application


def main() -> None:
    """Write the document to standard output; no service is needed to describe one."""
    nobody = cast("Any", None)
    json.dump(build_application(nobody, all_routers()).openapi(), sys.stdout)


if __name__ == "__main__":
    main()
