-- Statements of the catalog. Every one names the tenant first; ids compare bytewise (COLLATE "C").
-- Arrays are joined as unnest() and not compared by ANY: a prepared plan then looks each element up in an index,
-- whatever the size of the table was when it was made.

-- name: insert_merchant
-- Adds a merchant; no row comes back where the id is taken.
INSERT INTO merchants (tenant_id, merchant_id, display_name, region_code, create_time)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, merchant_id) DO NOTHING
RETURNING merchant_id;

-- name: select_merchant
-- One merchant.
SELECT merchant_id, display_name, region_code, create_time
FROM merchants
WHERE tenant_id = $1 AND merchant_id = $2;

-- name: select_merchant_page
-- Merchants after an id, in the order of their ids.
SELECT merchant_id, display_name, region_code, create_time
FROM merchants
WHERE tenant_id = $1 AND merchant_id > $2
ORDER BY merchant_id
LIMIT $3;

-- name: select_known_merchants
-- Which of some merchants exist.
SELECT m.merchant_id
FROM unnest($2::text[]) AS asked (merchant_id)
JOIN merchants AS m ON m.tenant_id = $1 AND m.merchant_id = asked.merchant_id;

-- name: select_products
-- Some products whole, each with its variants in their order as one JSON array.
SELECT p.product_id, p.merchant_id, p.titles, p.descriptions, p.category, p.hs_code, p.origin_region_code,
       p.status, p.version, p.create_time, p.update_time, v.variants
FROM unnest($2::text[]) AS asked (product_id)
JOIN products AS p ON p.tenant_id = $1 AND p.product_id = asked.product_id
CROSS JOIN LATERAL (
    SELECT json_agg(json_build_object(
               'sku', sku, 'gtin', gtin, 'options', options, 'prices', prices, 'weight_grams', weight_grams,
               'length_mm', length_mm, 'width_mm', width_mm, 'height_mm', height_mm, 'hazards', hazards
           ) ORDER BY position) AS variants
    FROM variants
    WHERE tenant_id = p.tenant_id AND product_id = p.product_id
) AS v;

-- name: select_product_page
-- The ids of products after an id, in the order of their ids; an empty merchant or category and a status of 0
-- stand for all. A category brings those below it: "/" is the character before "0".
SELECT product_id
FROM products
WHERE tenant_id = $1 AND product_id > $2
  AND ($3 = '' OR merchant_id = $3)
  AND ($4 = '' OR category = $4 OR (category >= $4 || '/' AND category < $4 || '0'))
  AND ($5 = 0 OR status = $5)
ORDER BY product_id
LIMIT $6;

-- name: lock_product_page
-- Products of all tenants after one, in the order of tenants and ids; they stay what they are until the transaction's end.
SELECT tenant_id, product_id
FROM products
WHERE (tenant_id, product_id) > ($1, $2)
ORDER BY tenant_id, product_id
LIMIT $3
FOR NO KEY UPDATE;
-- name: search_product_page
-- As select_product_page, of the products that have every word of $7. Frequent words are found among the next so many
-- ids, in their order. Only where these do not fill the page are all products with the words fetched, by the index of
-- words: they are few then. So no page is as dear as the number of products, and no estimate can mislead the planner.
WITH near AS MATERIALIZED (
    SELECT product_id
    FROM (
        SELECT product_id, merchant_id, category, status, words
        FROM products
        WHERE tenant_id = $1 AND product_id > $2
        ORDER BY product_id
        LIMIT 5000
    ) AS next
    WHERE words @@ $7::tsquery
      AND ($3 = '' OR merchant_id = $3)
      AND ($4 = '' OR category = $4 OR (category >= $4 || '/' AND category < $4 || '0'))
      AND ($5 = 0 OR status = $5)
    ORDER BY product_id
    LIMIT $6
), far AS MATERIALIZED (
    SELECT product_id
    FROM products
    WHERE (SELECT count(*) FROM near) < $6
      AND tenant_id = $1 AND product_id > $2 AND words @@ $7::tsquery
      AND ($3 = '' OR merchant_id = $3)
      AND ($4 = '' OR category = $4 OR (category >= $4 || '/' AND category < $4 || '0'))
      AND ($5 = 0 OR status = $5)
)
SELECT product_id FROM near
UNION
SELECT product_id FROM far
ORDER BY product_id
LIMIT $6;

-- name: lock_heads
-- Locks some products in the order of their ids and tells what is needed to see whether an upsert changes them.
SELECT p.product_id, p.merchant_id, p.status, p.version, p.content_hash, p.create_time
FROM unnest($2::text[]) AS asked (product_id)
JOIN products AS p ON p.tenant_id = $1 AND p.product_id = asked.product_id
ORDER BY p.product_id
FOR NO KEY UPDATE OF p;

-- name: lock_skus
-- Locks, in the order of the SKUs, the stored ones among $2 and all of the products $3; tells whose they are.
WITH asked AS (
    SELECT sku FROM unnest($2::text[]) AS named (sku)
    UNION
    SELECT v.sku
    FROM unnest($3::text[]) AS changed (product_id)
    JOIN variants AS v ON v.tenant_id = $1 AND v.product_id = changed.product_id
)
SELECT v.sku, v.product_id
FROM asked
JOIN variants AS v ON v.tenant_id = $1 AND v.sku = asked.sku
ORDER BY v.sku
FOR UPDATE OF v;

-- name: insert_products
-- Adds products at version 1 in the order given, which is that of their ids; one that another transaction has
-- added meanwhile is left alone and not counted.
INSERT INTO products (tenant_id, product_id, merchant_id, titles, descriptions, category, hs_code,
                      origin_region_code, status, version, content_hash, words, words_hash, create_time,
                      update_time)
SELECT $1, product_id, merchant_id, titles::jsonb, descriptions::jsonb, category, hs_code,
       origin_region_code, status, 1, content_hash, words::tsvector, content_hash, create_time, create_time
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::smallint[],
            $9::bytea[], $10::text[], $11::text[], $12::timestamptz[])
     AS new (product_id, titles, descriptions, category, hs_code, origin_region_code, status, content_hash,
             words, merchant_id, create_time)
ON CONFLICT (tenant_id, product_id) DO NOTHING;

-- name: update_products
-- Replaces the content of locked products; each goes to the version given. A product keeps its merchant.
UPDATE products AS p
SET titles = new.titles::jsonb, descriptions = new.descriptions::jsonb, category = new.category,
    hs_code = new.hs_code, origin_region_code = new.origin_region_code, status = new.status,
    version = new.version, content_hash = new.content_hash, words = new.words::tsvector,
    words_hash = new.content_hash, update_time = new.update_time
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::smallint[],
            $9::bytea[], $10::text[], $11::bigint[], $12::timestamptz[])
     AS new (product_id, titles, descriptions, category, hs_code, origin_region_code, status, content_hash,
             words, version, update_time)
WHERE p.tenant_id = $1 AND p.product_id = new.product_id;

-- name: lock_wordless
-- Locks products behind one, in the order of tenants and ids, whose words are not those of their content; leaves out
-- what others are at work on.
SELECT tenant_id, product_id
FROM products
WHERE (tenant_id, product_id) > ($1, $2) AND words_hash IS DISTINCT FROM content_hash
ORDER BY tenant_id, product_id
LIMIT $3
FOR NO KEY UPDATE SKIP LOCKED;

-- name: update_words
-- Gives locked products the words of their content.
UPDATE products AS p
SET words = new.words::tsvector, words_hash = p.content_hash
FROM unnest($2::text[], $3::text[]) AS new (product_id, words)
WHERE p.tenant_id = $1 AND p.product_id = new.product_id;

-- name: delete_variants
-- Takes locked SKUs from their products.
DELETE FROM variants AS v
USING unnest($2::text[]) AS gone (sku)
WHERE v.tenant_id = $1 AND v.sku = gone.sku;

-- name: upsert_variants
-- Adds or replaces variants in the order given, which is that of the SKUs. A SKU that another transaction has
-- given to another product meanwhile is left alone and not counted.
INSERT INTO variants (tenant_id, sku, product_id, position, gtin, options, prices, weight_grams, length_mm,
                      width_mm, height_mm, hazards)
SELECT $1, sku, product_id, position, gtin, options::jsonb, prices::jsonb, weight_grams, length_mm, width_mm,
       height_mm, hazards::smallint[]
FROM unnest($2::text[], $3::text[], $4::smallint[], $5::text[], $6::text[], $7::text[], $8::integer[],
            $9::integer[], $10::integer[], $11::integer[], $12::text[])
     AS new (sku, product_id, position, gtin, options, prices, weight_grams, length_mm, width_mm, height_mm,
             hazards)
ON CONFLICT (tenant_id, sku) DO UPDATE
SET position = excluded.position, gtin = excluded.gtin, options = excluded.options, prices = excluded.prices,
    weight_grams = excluded.weight_grams, length_mm = excluded.length_mm, width_mm = excluded.width_mm,
    height_mm = excluded.height_mm, hazards = excluded.hazards
WHERE variants.product_id = excluded.product_id;

-- name: insert_request_key
-- Notes a request id with its content and its answer. Waits for another request with the same id to end; no
-- row comes back where that one was committed.
INSERT INTO request_key (tenant_id, request_id, fingerprint, answer)
VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, request_id) DO NOTHING
RETURNING request_id;

-- name: select_request_key
-- The content and the answer of an earlier request.
SELECT fingerprint, answer FROM request_key WHERE tenant_id = $1 AND request_id = $2;
