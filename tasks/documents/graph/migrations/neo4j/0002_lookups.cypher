// What people ask by. Values of facts are not indexed: a clause can be longer than an index takes.
CREATE INDEX fact_identity IF NOT EXISTS FOR (n:Fact) ON (n.identity);
CREATE INDEX fact_field IF NOT EXISTS FOR (n:Fact) ON (n.field, n.state);
CREATE INDEX document_name IF NOT EXISTS FOR (n:Document) ON (n.name);
CREATE INDEX entity_name IF NOT EXISTS FOR (n:Entity) ON (n.kind, n.folded);
