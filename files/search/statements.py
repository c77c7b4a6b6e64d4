"""The one statement that finds passages: by vectors, by words, and both fused by their ranks.

Whatever it reads names the tenant, the datasets, the generation that each dataset shows and the state ``ready``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from files.models.chunks import vector_text
from files.search.query_terms import Question
from files.search.sql import SQL, joined, sql

#: Hits of each list that are fused.
POOL = 100
#: Chunks by which it is told how rare a word is.
SAMPLE = 1_000
#: Chunks that are ranked by words, at most: a word that stands in more of them, alone, tells them hardly apart.
RANKED = 20_000
#: The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009). They took 60 for lists of thousands.
SMOOTHING = 10
#: The power of the question's share that a passage's words have, by which a hit of words weighs beside one of
#: vectors: a passage with half of the question's words says little where vectors are there to ask.
BESIDE_VECTORS = 3
#: The words of the chunk ``c``. Where it has bigrams, its other words are among them.
WORDS = SQL("COALESCE(c.bigrams, c.words)")


@dataclass(frozen=True, slots=True)
class Scope:
    """What is searched: a tenant's datasets, and which of their files."""

    tenant_id: int
    dataset_ids: tuple[str, ...]
    files: SQL

    def dataset_files(self) -> SQL:
        """Return the condition on ``p``, the files' places."""
        return sql(
            "p.tenant_id = {} AND p.dataset_id = ANY({}) AND p.state = 'ready' AND {}",
            self.tenant_id,
            list(self.dataset_ids),
            self.files,
        )

    def chunks(self) -> SQL:
        """Return the tables and conditions of the chunks ``c`` in these places."""
        return sql(
            "files_datasetfile p JOIN files_chunk c ON c.dataset_file_id = p.id AND c.tenant_id = p.tenant_id"
            " AND c.dataset_id = p.dataset_id WHERE {} AND c.tenant_id = {} AND c.dataset_id = ANY({})",
            self.dataset_files(),
            self.tenant_id,
            list(self.dataset_ids),
        )

    def sample(self, chunks: int) -> SQL:
        """Return a SELECT of the ``words`` of chunks that stand at equal distances in all ``chunks`` of them.

        So a question is weighed alike each time, and files of all ages are in it.
        """
        step = SQL(str(max(1, -(-chunks // SAMPLE))))
        dataset_files = sql(
            "SELECT p.id, sum(p.chunk_count) OVER (ORDER BY p.id) - p.chunk_count AS first,"
            " sum(p.chunk_count) OVER (ORDER BY p.id) AS next FROM files_datasetfile p WHERE {}",
            self.dataset_files(),
        )
        # Each chunk is looked up by itself: LIMIT keeps the planner from reading all of them for a thousand.
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
class Probe:
    """A question's vector, and the datasets that it is compared with: those whose vectors ``embedding`` made.

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
        """The cosine distance of ``v``'s vector, spelled as the index is."""
        cast = SQL(f"halfvec({self.dimensions})")
        return sql("(v.vector::{}) <=> {}::{}", cast, vector_text(self.vector), cast)


def near(scope: Scope, probe: Probe) -> SQL:
    """Return a SELECT of ``id``, ``rank`` and ``weight`` of the chunks whose vectors are nearest."""
    return sql(
        "SELECT id, row_number() OVER (ORDER BY distance, id) AS rank, 1 AS weight FROM ({}) near"
        " WHERE distance <> 'NaN'",
        nearest(scope, probe),
    )


def ranked(ids: Sequence[int]) -> SQL:
    """Return a SELECT as ``near`` does, of chunks that were found before."""
    return sql(
        "SELECT id, rank, 1 AS weight FROM unnest({}::bigint[]) WITH ORDINALITY AS near (id, rank)", list(ids)
    )


def nearest(scope: Scope, probe: Probe) -> SQL:
    """Return a SELECT of ``id`` and ``distance`` of the nearest chunks."""
    return _compared(scope, probe) if probe.exact else _looked_up(scope, probe)


def _compared(scope: Scope, probe: Probe) -> SQL:
    """Compare every vector, which is looked up by its chunk: the planner knows too little of filters to choose so.

    Behind OFFSET no index on the vectors can be taken.
    """
    found = sql(
        "SELECT c.id, {} AS distance FROM files_dataset d JOIN files_datasetfile p ON p.dataset_id = d.id"
        " JOIN files_chunk c ON c.dataset_file_id = p.id AND c.tenant_id = p.tenant_id"
        " AND c.dataset_id = p.dataset_id"
        " CROSS JOIN LATERAL (SELECT one.vector FROM files_chunkvector one WHERE one.chunk_id = c.id"
        " AND one.generation = d.generation AND one.tenant_id = d.tenant_id AND one.dataset_id = d.id"
        " AND one.dimensions = {} LIMIT 1) v"
        " WHERE d.tenant_id = {} AND d.id = ANY({}) AND d.indexed_embedding = {} AND {} AND c.tenant_id = {}",
        probe.distance,
        SQL(str(probe.dimensions)),
        scope.tenant_id,
        list(probe.dataset_ids),
        probe.embedding,
        scope.dataset_files(),
        scope.tenant_id,
    )
    return sql("SELECT * FROM ({} OFFSET 0) every ORDER BY distance, id LIMIT {}", found, POOL)


def _looked_up(scope: Scope, probe: Probe) -> SQL:
    """Look vectors up by their index, the nearest first, until enough of them are asked for."""
    return sql(
        "SELECT v.chunk_id AS id, {} AS distance FROM files_chunkvector v"
        " JOIN files_dataset d ON d.id = v.dataset_id AND d.tenant_id = v.tenant_id"
        " AND d.generation = v.generation AND d.indexed_embedding = {}"
        " JOIN files_chunk c ON c.id = v.chunk_id AND c.tenant_id = v.tenant_id AND c.dataset_id = v.dataset_id"
        " JOIN files_datasetfile p ON p.id = c.dataset_file_id AND p.tenant_id = c.tenant_id"
        " AND p.dataset_id = c.dataset_id"
        " WHERE v.tenant_id = {} AND v.dataset_id = ANY({}) AND v.dimensions = {} AND {}"
        " ORDER BY {} LIMIT {}",
        probe.distance,
        probe.embedding,
        scope.tenant_id,
        list(probe.dataset_ids),
        SQL(str(probe.dimensions)),
        scope.dataset_files(),
        probe.distance,
        POOL,
    )


def worded(scope: Scope, question: Question, chunks: int, *, beside_vectors: bool) -> SQL:
    """Return a SELECT of ``id``, ``rank`` and ``weight`` of the chunks whose words fit best."""
    # Put together anew, the words of a chunk are unpacked once and not for each word of the question.
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
        sql("power({}, {})", share, BESIDE_VECTORS) if beside_vectors else share,
        ranked,
        POOL,
    )


def matching(question: Question, chunks: int) -> SQL:
    """Return the condition that the chunk ``c`` is worth a rank; either column is looked up by its own index."""
    query = question.query(chunks)
    return sql("(c.words @@ ({}) OR c.bigrams @@ ({}))", query, query)


def statement(
    scope: Scope, probes: Sequence[Probe], question: Question | None, lists: Sequence[SQL], limit: int
) -> SQL:
    """Return the statement that fuses ``lists`` by their ranks and reads the passages that come first."""
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
        _similarity(probes),
        question.coverage(sql("({} || ''::tsvector)", WORDS)) if question else SQL("NULL::float8"),
        scope.tenant_id,
        scope.dataset_files(),
    )


def _similarity(probes: Sequence[Probe]) -> SQL:
    """Return how near a passage's vector is to the question's, also where its words alone found it."""
    if not probes:
        return SQL("NULL::float8")
    cases = (
        sql(
            "WHEN d.indexed_embedding = {} AND v.dimensions = {} THEN 1 - ({})",
            probe.embedding,
            probe.dimensions,
            probe.distance,
        )
        for probe in probes
    )
    return sql("NULLIF(CASE {} END, 'NaN')", joined(" ", cases))
