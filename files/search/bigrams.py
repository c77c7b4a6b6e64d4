r"""SQL function and trigger that index text written without spaces (CJK, Thai, Lao, Khmer, Burmese) as bigrams.

``files_bigrams`` turns stored text and query into the same lexemes. It matches characters by code point, since
what PostgreSQL takes for a letter depends on the locale. Each character of a run is a lexeme together with the
next one; the last one stands alone, so that a search for one character matches what begins with it. In Thai,
Lao, Khmer and Burmese the unit is a letter with all its marks. Other words are the same as in the column
``words`` and share one sequence of positions with the bigrams, also where no space separates them
(``GPU搭載``). The result is NULL for a text without such characters or full- and half-width forms. Weights:

- A: a bigram, to be matched as it is,
- B: the last character of a run, which the bigram before contains: to be ignored,
- C: a run of one character: to be matched as a prefix,
- D: another word, to be matched as it is.
"""

from django.db.migrations.operations.special import RunSQL

#: Chinese characters and their radicals, kana, bopomofo.
PLAIN = (
    r"\u2e80-\u2fd5\u3005-\u3007\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
#: Thai, Lao, Burmese, Khmer: all of it but punctuation.
COMPOUND = (
    r"\u0e01-\u0e3a\u0e40-\u0e4e\u0e50-\u0e59\u0e81-\u0ebd\u0ec0-\u0ece\u0ed0-\u0ed9\u0edc-\u0edf"
    r"\u1000-\u1049\u1050-\u109d\ua9e0-\ua9fe\uaa60-\uaa76\uaa7a-\uaa7f"
    r"\u1780-\u17b3\u17b6-\u17d3\u17d7\u17dc\u17dd\u17e0-\u17e9"
)
#: Parts of such a unit: leading vowels, letters, joiners of stacked letters, marks, trailing vowels.
BEFORE = r"\u0e40-\u0e44\u0ec0-\u0ec4"
LETTER = (
    r"\u0e01-\u0e2e\u0e81-\u0eae\u0edc-\u0edf\u1780-\u17b3\uaa60-\uaa76"
    r"\u1000-\u102a\u103f\u1050-\u1055\u105a-\u105d\u1061\u1065\u1066\u106e-\u1070\u1075-\u1081\u108e"
)
UNDER = r"\u1039\u17d2"
MARK = (
    r"\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u17b6-\u17d1\u17d3\u17dd\uaa7b-\uaa7d"
    r"\u102b-\u1038\u103a-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d"
    r"\u108f\u109a-\u109d"
)
AFTER = r"\u0e30\u0e32\u0e45\u0eb0\u0eb2"
# Bounded, since a lexeme has a greatest length and a letter with a thousand marks is soon made.
UNIT = rf"[{BEFORE}]?[{LETTER}](?:[{UNDER}][{LETTER}]|[{MARK}]){{0,12}}[{AFTER}]?|[{COMPOUND}]"
#: Compatibility forms of characters above or of letters: squares, full and half width.
FOLDED = r"\u3200-\u33ff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uff9f"
#: Punctuation and symbols, which are letters to PostgreSQL's own locale.
PARTS = (
    r"\u0080-\u00bf\u00d7\u00f7\u0e3f\u0e4f\u0e5a\u0e5b\u104a-\u104f\u17d4-\u17d6\u17d8-\u17db\u2000-\u2bff"
    r"\u3000-\u3004\u3008-\u303f\u30a0\u30fb\ufeff\ufff9-\uffff\U0001f000-\U0001faff"
)
ANY = PLAIN + COMPOUND
#: Bytes of the longest lexeme that can be written out; ``to_tsvector`` makes longer ones.
LONGEST = 2046
#: Characters of a text that are read: more of them, at up to 12 bytes each, could overflow a ``tsvector``.
MOST = 80_000
# Line breaks within a sentence and invisible characters do not separate words.
BETWEEN = rf"([{ANY}])(?:[ \t]*\r?\n[ \t]*|[\u00ad\u200b-\u200d\u2060\ufeff]+)(?=[{ANY}])"

_CREATE = rf"""
CREATE FUNCTION files_bigrams(source text) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF octet_length(source) = length(source) OR source !~ '[{ANY}{FOLDED}]' THEN
        RETURN NULL;
    END IF;
    source := translate(left(normalize(source, NFKC), {MOST}), E'\u2018\u2019\u2010', '''''-');
    source := regexp_replace(source, '{BETWEEN}', '\1', 'g');
    RETURN (
        SELECT string_agg('''' || lexeme || ''':' || before + position || weight, ' ')::tsvector
        FROM (
            SELECT units, words, sum(width) OVER (ORDER BY number) - width AS before
            FROM regexp_matches(source, '([{PLAIN}]+)|([{COMPOUND}]+)|([^{ANY}{PARTS}]+)', 'g')
                WITH ORDINALITY AS run (part, number)
            CROSS JOIN LATERAL (
                SELECT to_tsvector('pg_catalog.english'::regconfig, part[3]) AS words,
                    CASE
                        WHEN part[1] IS NOT NULL THEN string_to_array(part[1], NULL)
                        WHEN part[2] IS NOT NULL THEN ARRAY(
                            SELECT unit[1] FROM regexp_matches(part[2], '{UNIT}', 'g') AS unit
                        )
                    END AS units
                OFFSET 0
            ) AS read
            CROSS JOIN LATERAL (
                SELECT COALESCE(
                    cardinality(units), (SELECT max(position) FROM unnest(words), unnest(positions) AS position), 0
                ) AS width
                OFFSET 0
            ) AS measured
        ) AS parts
        CROSS JOIN LATERAL (
            SELECT unit || COALESCE(next, '') AS lexeme, position,
                CASE WHEN next IS NOT NULL THEN 'A' WHEN position > 1 THEN 'B' ELSE 'C' END AS weight
            FROM unnest(units, units[2:]) WITH ORDINALITY AS pair (unit, next, position)
            UNION ALL
            SELECT replace(replace(lexeme, '\', '\\'), '''', ''''''), position, 'D'
            FROM unnest(words), unnest(positions) AS position
            WHERE octet_length(lexeme) BETWEEN 1 AND {LONGEST}
        ) AS items
    );
END $$;

CREATE FUNCTION files_add_bigrams() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.bigrams := setweight(files_bigrams(NEW.heading || E'\n\n' || NEW.text), 'D');
    RETURN NEW;
END $$;

CREATE TRIGGER files_add_bigrams BEFORE INSERT OR UPDATE OF heading, text ON files_chunk
    FOR EACH ROW EXECUTE FUNCTION files_add_bigrams();
"""  # noqa: S608 (constants of this module)

BIGRAMS = RunSQL(
    _CREATE,
    """
    DROP TRIGGER files_add_bigrams ON files_chunk;
    DROP FUNCTION files_add_bigrams();
    DROP FUNCTION files_bigrams(text);
    """,
)
