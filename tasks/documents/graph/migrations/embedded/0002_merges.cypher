// Merges hang on entities, which outlive a document that is read anew.
DROP TABLE IF EXISTS SAME_AS;
CREATE REL TABLE IF NOT EXISTS SAME_AS (FROM Entity TO Resolved, score DOUBLE, evidence STRING);
