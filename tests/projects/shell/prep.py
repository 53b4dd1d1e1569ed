from pathlib import Path

Path("prepared.txt").write_text("prepared")
