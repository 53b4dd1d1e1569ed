"""The tables of the log, which docs/prediction-log.md explains. A change of them is another `VERSION`.

An index of random values costs a page of the disk for each row: `id` has the only one.
"""

FILE = "predictions.sqlite"
APPLICATION_ID = 0x74726C67
"""So that another program's file is told from a log: `trlg`."""
VERSION = 1
TABLES = """
CREATE TABLE models (
  model INTEGER PRIMARY KEY,
  digest TEXT NOT NULL,
  name TEXT NOT NULL,
  called TEXT NOT NULL,
  version TEXT,
  task TEXT NOT NULL,
  classes TEXT NOT NULL,
  UNIQUE (digest, name, called)
);
CREATE TABLE predictions (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  time TEXT NOT NULL,
  request TEXT NOT NULL,
  position INTEGER NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('champion', 'shadow')),
  model INTEGER NOT NULL REFERENCES models (model),
  input TEXT NOT NULL,
  class TEXT,
  confidence REAL,
  value REAL,
  probabilities TEXT,
  embedding BLOB,
  latency_ms REAL NOT NULL
);
CREATE INDEX predictions_by_time ON predictions (time);
CREATE TABLE inputs (
  digest TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('image', 'pixels', 'row')),
  content BLOB NOT NULL
);
CREATE TABLE labels (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  request TEXT NOT NULL,
  position INTEGER NOT NULL,
  label TEXT,
  labelled_by TEXT NOT NULL,
  labelled_at TEXT NOT NULL
);
CREATE INDEX labels_by_request ON labels (request, position);
CREATE VIEW current_labels AS
  SELECT request, position, label, labelled_by, labelled_at FROM labels AS latest
  WHERE number = (SELECT max(number) FROM labels
                  WHERE request = latest.request AND position = latest.position) AND label IS NOT NULL;
CREATE VIEW answers AS
  SELECT predictions.number, id, time, predictions.request, predictions.position, role, models.name,
         models.called, models.version, models.digest, task, classes, input, class, confidence, value,
         probabilities, embedding, latency_ms, label, labelled_by, labelled_at
  FROM predictions JOIN models USING (model) LEFT JOIN current_labels
    ON current_labels.request = predictions.request AND current_labels.position = predictions.position;
"""
