import sys
from pathlib import Path

print(*(Path(name).read_text() for name in sys.argv[1:]))
