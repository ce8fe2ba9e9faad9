"""Whether the gateway in this container takes calls: exit code 0 or 1."""

import os
import sys
from http.client import HTTPConnection, HTTPException

connection = HTTPConnection("127.0.0.1", int(os.environ.get("LLMCORE_HEALTH_PORT", "8400")), timeout=2.5)
try:
    connection.request("GET", "/readyz")
    sys.exit(0 if connection.getresponse().status == 200 else 1)
except (OSError, HTTPException):
    sys.exit(1)
finally:
    connection.close()
