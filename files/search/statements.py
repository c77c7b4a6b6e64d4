"""SQL of a search: vector search, full-text search, and their reciprocal rank fusion in one statement.

Every part names the tenant, the datasets, the current generation of each dataset and the state ``ready``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from files.models.chunks import vector_text
from files.search.query_terms import ParsedQuery
from files.search.sql import SQL, joined, sql

#: Candidates of each list that are fused.
POOL = 100
#: Chunks in the sample that estimates how rare a term is.
SAMPLE = 1_000
#: Most chunks that are ranked by full text: a term in more of them hardly distinguishes them.
RANKED = 20_000
#: The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009). They took 60 for lists of thousands.
SMOOTHING = 10
#: The power of its coverage that weights a full-text hit if there are vector hits too: a chunk with half of the
#: query's terms means little then.
COVERAGE_POWER = 3
#: The lexemes of the chunk ``c``. If it has bigrams, they include its other lexemes.
WORDS = SQL("COALESCE(c.bigrams, c.words)")


@dataclass(frozen=True, slots=True)
class SearchScope:
    """What to search: datasets of a tenant, and a condition on their files."""

    tenant_id: int
    dataset_ids: tuple[str, ...]
    files: SQL

    def dataset_files(self) -> SQL:
        """Return the condition on the dataset files ``p``."""
        return sql(
            "p.tenant_id = {} AND p.dataset_id = ANY({}) AND p.state = 'ready' AND {}",
            self.tenant_id,
            list(self.dataset_ids),
            self.files,
        )

    def chunks(self) -> SQL:
        """Return the tables and conditions of the chunks ``c`` of these dataset files."""
        return sql(
            "files_datasetfile p JOIN files_chunk c ON c.dataset_file_id = p.id AND c.tenant_id = p.tenant_id"
            " AND c.dataset_id = p.dataset_id WHERE {} AND c.tenant_id = {} AND c.dataset_id = ANY({})",
            self.dataset_files(),
            self.tenant_id,
            list(self.dataset_ids),
        )

    def sample(self, chunks: int) -> SQL:
        """Return a SELECT of the ``words`` of chunks sampled at equal distances among all ``chunks``.

        So the weights of a query are deterministic, and files of all ages are sampled.
        """
        step = SQL(str(max(1, -(-chunks // SAMPLE))))
        dataset_files = sql(
            "SELECT p.id, sum(p.chunk_count) OVER (ORDER BY p.id) - p.chunk_count AS first,"
            " sum(p.chunk_count) OVER (ORDER BY p.id) AS next FROM files_datasetfile p WHERE {}",
            self.dataset_files(),
        )
        # LIMIT makes the planner look up each chunk instead of reading all of them.
        return sql(
            "SELECT one.words FROM ({}) dataset_file CROSS JOIN LATERAL"
            " generate_series((first + {} - 1) / {} * {}, next - 1, {}) at"
            " CROSS JOIN LATERAL (SELECT {} AS words FROM files_chunk c WHERE c.dataset_file_id = dataset_file.id"
            " AND c.position = at - first AND c.tenant_id = {} AND c.dataset_id = ANY({}) LIMIT 1) one",
            dataset_files,
            step,
            step,
            step,
            step,
            WORDS,
            self.tenant_id,
            list(self.dataset_ids),
        )


@dataclass(frozen=True, slots=True)
class QueryVector:
    """A query's vector by one ``embedding``, and the datasets that use it.

    ``scale`` is what ``files.backends.Scale`` returns.
    """

    embedding: str
    dataset_ids: tuple[str, ...]
    vector: list[float]
    scale: tuple[float, float]
    exact: bool

    @property
    def dimensions(self) -> int:
        return len(self.vector)

    @property
    def distance(self) -> SQL:
        """The cosine distance of ``v``'s vector, in the expression that the index has."""
        cast = SQL(f"halfvec({self.dimensions})")
        return sql("(v.vector::{}) <=> {}::{}", cast, vector_text(self.vector), cast)


def vector_list(scope: SearchScope, query_vector: QueryVector) -> SQL:
    """Return a SELECT of ``id``, ``rank`` and ``weight`` of the chunks whose vectors are nearest."""
    return sql(
        "SELECT id, row_number() OVER (ORDER BY distance, id) AS rank, 1 AS weight FROM ({}) near"
        " WHERE distance <> 'NaN'",
        nearest(scope, query_vector),
    )


def ranked_list(ids: Sequence[int]) -> SQL:
    """Return a SELECT like ``vector_list`` of chunks that are already ranked."""
    return sql(
        "SELECT id, rank, 1 AS weight FROM unnest({}::bigint[]) WITH ORDINALITY AS near (id, rank)", list(ids)
    )


def nearest(scope: SearchScope, query_vector: QueryVector) -> SQL:
    """Return a SELECT of ``id`` and ``distance`` of the nearest chunks."""
    return _exact_scan(scope, query_vector) if query_vector.exact else _index_scan(scope, query_vector)


def _exact_scan(scope: SearchScope, query_vector: QueryVector) -> SQL:
    """Compare every vector. Each is looked up by its chunk, a plan that the planner would not choose with filters.

    OFFSET 0 keeps it from using the HNSW index.
    """
    found = sql(
        "SELECT c.id, {} AS distance FROM files_dataset d JOIN files_datasetfile p ON p.dataset_id = d.id"
        " JOIN files_chunk c ON c.dataset_file_id = p.id AND c.tenant_id = p.tenant_id"
        " AND c.dataset_id = p.dataset_id"
        " CROSS JOIN LATERAL (SELECT one.vector FROM files_chunkvector one WHERE one.chunk_id = c.id"
        " AND one.generation = d.generation AND one.tenant_id = d.tenant_id AND one.dataset_id = d.id"
        " AND one.dimensions = {} LIMIT 1) v"
        " WHERE d.tenant_id = {} AND d.id = ANY({}) AND d.indexed_embedding = {} AND {} AND c.tenant_id = {}",
        query_vector.distance,
        SQL(str(query_vector.dimensions)),
        scope.tenant_id,
        list(query_vector.dataset_ids),
        query_vector.embedding,
        scope.dataset_files(),
        scope.tenant_id,
    )
    return sql("SELECT * FROM ({} OFFSET 0) every ORDER BY distance, id LIMIT {}", found, POOL)


def _index_scan(scope: SearchScope, query_vector: QueryVector) -> SQL:
    """Scan the HNSW index, nearest first, until enough vectors pass the filters."""
    return sql(
        "SELECT v.chunk_id AS id, {} AS distance FROM files_chunkvector v"
        " JOIN files_dataset d ON d.id = v.dataset_id AND d.tenant_id = v.tenant_id"
        " AND d.generation = v.generation AND d.indexed_embedding = {}"
        " JOIN files_chunk c ON c.id = v.chunk_id AND c.tenant_id = v.tenant_id AND c.dataset_id = v.dataset_id"
        " JOIN files_datasetfile p ON p.id = c.dataset_file_id AND p.tenant_id = c.tenant_id"
        " AND p.dataset_id = c.dataset_id"
        " WHERE v.tenant_id = {} AND v.dataset_id = ANY({}) AND v.dimensions = {} AND {}"
        " ORDER BY {} LIMIT {}",
        query_vector.distance,
        query_vector.embedding,
        scope.tenant_id,
        list(query_vector.dataset_ids),
        SQL(str(query_vector.dimensions)),
        scope.dataset_files(),
        query_vector.distance,
        POOL,
    )


def text_list(scope: SearchScope, question: ParsedQuery, chunks: int, *, with_vectors: bool) -> SQL:
    """Return a SELECT of ``id``, ``rank`` and ``weight`` of the best chunks by full-text rank."""
    # Concatenating an empty vector decompresses the lexemes once, and not for each term of the query.
    matched = sql(
        "SELECT c.id, {} || ''::tsvector AS words FROM {} AND {} LIMIT {}",
        WORDS,
        scope.chunks(),
        matching(question, chunks),
        RANKED,
    )
    ranked = sql("SELECT id, {} AS worth, words FROM ({}) matched", question.rank(SQL("words")), matched)
    share = question.coverage(SQL("words"))
    return sql(
        "SELECT id, row_number() OVER (ORDER BY worth DESC, id) AS rank, {} AS weight FROM"
        " ({} ORDER BY worth DESC, id LIMIT {}) ranked",
        sql("power({}, {})", share, COVERAGE_POWER) if with_vectors else share,
        ranked,
        POOL,
    )


def matching(question: ParsedQuery, chunks: int) -> SQL:
    """Return the condition that the chunk ``c`` matches; each column has its own index."""
    query = question.query(chunks)
    return sql("(c.words @@ ({}) OR c.bigrams @@ ({}))", query, query)


def fused(
    scope: SearchScope,
    query_vectors: Sequence[QueryVector],
    question: ParsedQuery | None,
    lists: Sequence[SQL],
    limit: int,
) -> SQL:
    """Return the statement that fuses ``lists`` by reciprocal rank and reads the first results."""
    hits = joined(" UNION ALL ", (sql("SELECT id, rank, weight FROM ({}) hits", found) for found in lists))
    fused = sql(
        "SELECT id, sum((weight / ({} + rank))::numeric) AS fused FROM ({}) hits GROUP BY id"
        " ORDER BY fused DESC, id LIMIT {}",
        SQL(f"{SMOOTHING}::float8"),
        hits,
        limit,
    )
    return sql(
        "WITH fused AS MATERIALIZED ({}) SELECT c.id, c.dataset_id, p.file_id, f.filename, p.attributes, c.text,"
        " c.tokens, c.page, c.heading, c.position, fused.fused::float8, d.indexed_embedding, {}, {} FROM fused"
        " JOIN files_chunk c ON c.id = fused.id AND c.tenant_id = {}"
        " JOIN files_datasetfile p ON p.id = c.dataset_file_id AND p.tenant_id = c.tenant_id"
        " JOIN files_dataset d ON d.id = c.dataset_id AND d.tenant_id = c.tenant_id"
        " JOIN files_file f ON f.id = p.file_id AND f.tenant_id = p.tenant_id"
        " LEFT JOIN files_chunkvector v ON v.chunk_id = c.id AND v.generation = d.generation"
        " AND v.tenant_id = c.tenant_id WHERE {} AND (f.expires_at IS NULL OR f.expires_at > now())"
        " ORDER BY fused.fused DESC, c.id",
        fused,
        _similarity(query_vectors),
        question.coverage(sql("({} || ''::tsvector)", WORDS)) if question else SQL("NULL::float8"),
        scope.tenant_id,
        scope.dataset_files(),
    )


def _similarity(query_vectors: Sequence[QueryVector]) -> SQL:
    """Return the cosine similarity of a chunk and the query, also for full-text hits."""
    if not query_vectors:
        return SQL("NULL::float8")
    cases = (
        sql(
            "WHEN d.indexed_embedding = {} AND v.dimensions = {} THEN 1 - ({})",
            query_vector.embedding,
            query_vector.dimensions,
            query_vector.distance,
        )
        for query_vector in query_vectors
    )
    return sql("NULLIF(CASE {} END, 'NaN')", joined(" ", cases))
