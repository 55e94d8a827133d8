-- What search compares: words as they are written, and their English stems.

-- Text as it is cut into words. What makes Postgres' parser take a link, a path or a number for one word becomes a space,
-- so that a link is its parts in a row; each character of Chinese and Japanese, which put nothing between words, becomes
-- a word. Other punctuation in ASCII the parser knows for what it is.
CREATE FUNCTION tasks.plain_words(content text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE
  WHEN octet_length(content) = char_length(content) THEN translate(content, './:<&+-~', '        ')
  ELSE regexp_replace(
    translate(content, './:<&+-~«»‐‑‒–—‘’‚“”„…‹›、。〈〉《》「」『』【】・！（），．：；？～', repeat(' ', 46)),
    '([\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003134f])',
    ' \1 ', 'g')
END;

-- A request as web search engines take it: all words, "exact words", this or that, -not. An unquoted word finds its
-- inflections and, from two characters on, what begins with it. Words that are in every text (the, of) count only where
-- nothing else is asked for. Null for a text without words: it finds nothing.
CREATE FUNCTION tasks.search_query(request text) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  part text[];
  words text[];
  term tsquery;
  stem tsquery;
  mark text;
  -- What is asked for together, and what of it is in every text.
  together tsquery;
  common tsquery;
  found tsquery;
BEGIN
  FOR part IN SELECT regexp_matches(request, '(-?)(?:"([^"]*)"?|([^\s"]+))', 'g') LOOP
    IF lower(part[3]) = 'or' AND part[1] = '' THEN
      together := coalesce(together, common);
      found := coalesce(found || together, found, together);
      together := NULL;
      common := NULL;
      CONTINUE;
    END IF;
    words := regexp_split_to_array(btrim(tasks.plain_words(
      translate(coalesce(part[2], part[3]), '!"#$%''()*,;=>?@[\]^_`{|}', repeat(' ', 24)))), '\s+');
    CONTINUE WHEN words = '{""}';
    -- Weights tell the words as they are from stems: "pass" is not passing.
    mark := CASE WHEN part[3] IS NULL OR cardinality(words) > 1 THEN 'AB' ELSE '' END;
    term := to_tsquery('simple', '''' || array_to_string(words, ''':' || mark || ' <-> ''') || ''':' || mark
      || CASE WHEN part[3] IS NULL OR part[1] = '-' OR char_length(words[cardinality(words)]) = 1 THEN '' ELSE '*' END);
    CONTINUE WHEN numnode(term) = 0;
    IF part[3] IS NOT NULL AND cardinality(words) = 1 THEN
      IF ts_lexize('english_stem', lower(words[1])) = '{}' THEN
        IF part[1] = '' THEN common := coalesce(common && term, term); END IF;
        CONTINUE;
      END IF;
      stem := plainto_tsquery('english', words[1]);
      -- Where the word is its own stem one of the two is enough: ts_rank takes the second for the first.
      IF stem <> phraseto_tsquery('simple', words[1]) THEN term := term || stem; END IF;
    END IF;
    IF part[1] = '-' THEN term := !!term; END IF;
    together := coalesce(together && term, term);
  END LOOP;
  together := coalesce(together, common);
  RETURN coalesce(found || together, found, together);
END $$;

-- The words as they are come first: a position beyond 16,383 is not counted, and exact words go by positions. What is
-- between title and description keeps the end of one and the beginning of the other apart.
ALTER TABLE tasks.tasks DROP COLUMN words;
ALTER TABLE tasks.tasks ADD COLUMN words tsvector GENERATED ALWAYS AS (
  setweight(to_tsvector('simple', tasks.plain_words(title)), 'A')
  || '|:2'::tsvector
  || setweight(to_tsvector('simple', coalesce(tasks.plain_words(description), '')), 'B')
  || setweight(to_tsvector('english', title), 'C')
  || setweight(to_tsvector('english', coalesce(description, '')), 'D')
) STORED;
CREATE INDEX tasks_words_idx ON tasks.tasks USING gin (words);
