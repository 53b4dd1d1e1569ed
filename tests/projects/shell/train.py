import sys
from pathlib import Path

print(Path("prepared.txt").read_text(), sys.argv[1:])
print("hit" if Path("hit").exists() else "whole")
