// The tables of the embedded graph: those of the model, each with its columns.
CREATE NODE TABLE IF NOT EXISTS Scope (id STRING PRIMARY KEY);
CREATE NODE TABLE IF NOT EXISTS Document (id STRING PRIMARY KEY, name STRING, names STRING[],
    kind STRING, pages INT64);
CREATE NODE TABLE IF NOT EXISTS Page (id STRING PRIMARY KEY, document STRING, number INT64);
CREATE NODE TABLE IF NOT EXISTS Fact (id STRING PRIMARY KEY, identity STRING, field STRING, path
    STRING, value STRING, number DOUBLE, raw STRING, extracted STRING, methods STRING[], checks
    STRING, alternatives STRING, reviewed STRING, document STRING, scope STRING, extractor
    STRING, probability DOUBLE, state STRING, page INT64, x0 DOUBLE, y0 DOUBLE, x1 DOUBLE, y1
    DOUBLE, text STRING, reader STRING, version STRING);
CREATE NODE TABLE IF NOT EXISTS Mention (id STRING PRIMARY KEY, key STRING, kind STRING, name
    STRING, names STRING[], attributes STRING, document STRING, scope STRING, extractor STRING,
    probability DOUBLE, state STRING, page INT64, x0 DOUBLE, y0 DOUBLE, x1 DOUBLE, y1 DOUBLE,
    text STRING, reader STRING, version STRING);
CREATE NODE TABLE IF NOT EXISTS Entity (id STRING PRIMARY KEY, kind STRING, name STRING, folded
    STRING);
CREATE NODE TABLE IF NOT EXISTS Resolved (id STRING PRIMARY KEY, kind STRING, name STRING);
CREATE REL TABLE IF NOT EXISTS HOLDS (FROM Scope TO Document, state STRING, names STRING[], kind
    STRING, extractor STRING, pages INT64);
CREATE REL TABLE IF NOT EXISTS HAS_PAGE (FROM Document TO Page);
CREATE REL TABLE IF NOT EXISTS STATES (FROM Document TO Fact);
CREATE REL TABLE IF NOT EXISTS MENTIONS (FROM Document TO Mention);
CREATE REL TABLE IF NOT EXISTS FOUND_ON (FROM Fact TO Page, FROM Mention TO Page, rank INT64,
    page INT64, x0 DOUBLE, y0 DOUBLE, x1 DOUBLE, y1 DOUBLE, text STRING, reader STRING, version
    STRING);
CREATE REL TABLE IF NOT EXISTS REFERS_TO (FROM Mention TO Entity);
CREATE REL TABLE IF NOT EXISTS RELATES (FROM Mention TO Mention, FROM Document TO Mention, FROM
    Mention TO Document, id STRING, kind STRING, document STRING, scope STRING, extractor
    STRING, probability DOUBLE, state STRING, page INT64, x0 DOUBLE, y0 DOUBLE, x1 DOUBLE, y1
    DOUBLE, text STRING, reader STRING, version STRING);
CREATE REL TABLE IF NOT EXISTS SAME_AS (FROM Mention TO Resolved, score DOUBLE, evidence
    STRING);
