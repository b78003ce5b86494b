"""Messages as the sources of Shopify and WooCommerce send them, with every property that each source documents.

Names and types of the properties are those of the pages in `tests/unit/wire/test_shop_sources.py`; the values are made
up. A property that a page lists and a source leaves out where it is empty is left out here as well.
"""

from __future__ import annotations

from typing import Any

Fields = dict[str, Any]

DEVICE = "5b0c9f0e-6a51-4a3f-9f0b-2f6f3f1f7a10"
TIME = "2026-05-04T08:30:00.000Z"


def track(base: Fields, event: str, properties: Fields) -> Fields:
    """The message of a track call of this sender."""
    return base | {"type": "track", "event": event, "properties": properties}


# --- Shopify by Littledata: its script on a page knows the device, its server the customer, too ---

LITTLEDATA_PAGE: Fields = {
    "messageId": "ajs-next-1", "anonymousId": DEVICE, "userId": None, "timestamp": TIME,
    "context": {"ip": "203.0.113.7", "Google Analytics": {"clientId": "911.1746347"}},
}  # fmt: skip
LITTLEDATA_SERVER: Fields = LITTLEDATA_PAGE | {"messageId": "api-1", "userId": 6790144000123}
LITTLEDATA_TEA: Fields = {
    "brand": "Leaf & Pot", "category": "all", "compare_at_price": "14.50", "coupon": "",
    "image_url": "https://cdn.example/assam.jpg", "list_id": "28101", "list_position": 2, "name": "Assam",
    "price": 12.95, "product_id": "7010001", "quantity": 2, "product_properties": [{"name": "gift", "value": "yes"}],
    "shopify_product_id": "7010001", "shopify_variant_id": "4010001", "sku": "ASM-250",
    "url": "https://shop.example/products/assam", "variant": "250 g",
}  # fmt: skip
LITTLEDATA_POT: Fields = LITTLEDATA_TEA | {
    "compare_at_price": None, "coupon": "SPRING", "image_url": "https://cdn.example/pot.jpg", "list_position": 5,
    "name": "Pot", "price": 39.0, "product_id": "7010002", "quantity": 1, "product_properties": [],
    "shopify_product_id": "7010002", "shopify_variant_id": "4010002", "sku": "",
    "url": "https://shop.example/products/pot", "variant": None,
}  # fmt: skip
LITTLEDATA_CART: Fields = {
    "cart_id": "c1-9f2d", "currency": "EUR", "email": None, "products": [LITTLEDATA_TEA, LITTLEDATA_POT],
    "sent_from": "Littledata app", "total": 64.9, "userId": None,
}  # fmt: skip
# 25.90 + 39.00 - 5.00 = 59.90 with 9.57 of tax in it, and 4.90 for the parcel. The presentment is in another currency.
LITTLEDATA_CHECKOUT: Fields = {
    "affiliation": "Shopify", "cart_id": "c1-9f2d", "checkout_id": "31590001", "coupon": "SPRING,WELCOME",
    "currency": "EUR", "discount": 5.0, "email": "kim@shop.example", "lifetime_revenue_littledata": "312.40",
    "location_id": None, "payment_gateway_littledata": "shopify_payments", "payment_method": "visa",
    "presentment_currency": "USD", "presentment_total": "71.28", "products": [LITTLEDATA_TEA, LITTLEDATA_POT],
    "purchase_count_littledata": 3, "sent_from": "Littledata app", "shipping": 4.9, "shipping_method": "Post",
    "shopify_customer_id_littledata": 6790144000123, "source_name": "web", "step": 3, "subtotal": 59.9, "tax": 9.57,
    "total": 64.8, "userId": "6790144000123",
}  # fmt: skip
LITTLEDATA_ORDER: Fields = LITTLEDATA_CHECKOUT | {"order_id": "#1042", "revenue": 64.9, "subscription_revenue": 25.9}
LITTLEDATA_TRAITS: Fields = {
    "userId": 6790144000123, "createdAt": "2024-11-02T10:00:00Z", "customerLifetimeValue": 312.4,
    "default_address": {"street": "Lange Reihe 5", "postalCode": "20099", "state": "Hamburg", "country": "Germany"},
    "description": "", "email": "kim@shop.example", "email_consent_state": "SUBSCRIBED",
    "email_opt_in_level": "CONFIRMED_OPT_IN", "firstName": "Kim", "lastName": "Lee", "phone": "+4940123456",
    "purchaseCount": 3, "sms_consent_state": None, "sms_opt_in_level": None, "state": "enabled", "tags": "vip, tea",
    "verified_email": True,
}  # fmt: skip

# The table of 2019: names in camelCase, a variant by its id, and the payment in an object of its own.
LITTLEDATA_2019_PRODUCT: Fields = {
    "brand": "Leaf & Pot", "category": "Tea", "list_id": 28101, "list_name": "Black tea", "list_position": 2,
    "name": "Assam", "price": "12.95", "product_id": 7010001, "quantity": 2, "sku": "ASM-250", "variant": 4010001,
    "variants": [{"id": 4010001, "sku": "ASM-250"}, {"id": 4010009, "sku": "ASM-500"}],
}  # fmt: skip
LITTLEDATA_2019_ORDER: Fields = {
    "affiliation": "Leaf & Pot", "checkoutId": 31590001, "coupon": None, "currency": "EUR", "discount": "0.00",
    "order_id": 3811712041, "paymentMethod": "visa", "products": [LITTLEDATA_2019_PRODUCT],
    "properties": {"step": 3}, "revenue": 25.9, "sent_from": "Littledata app", "shipping": "4.90",
    "shipping_method": "Post", "step": 3, "tax": "4.92", "total": "30.80", "userId": 6790144000123,
}  # fmt: skip

# --- Segment's own source for Shopify: a web pixel, which knows the device alone ---

PIXEL: Fields = {
    "messageId": "sh-1f0c", "anonymousId": DEVICE, "userId": None, "timestamp": TIME,
    "context": {
        "page": {"url": "https://shop.example/cart", "path": "/cart", "search": "", "title": "Cart", "referrer": ""},
        "campaign": {"source": "letter", "medium": "email", "name": "may", "term": "tea", "content": "top"},
    },
}  # fmt: skip
PIXEL_TEA: Fields = {
    "product_id": "7010001", "name": "Assam", "untranslated_name": "Assam", "variant": "250 g",
    "untranslated_variant": "250 g", "category": "Tea", "brand": "Leaf & Pot", "url": "/products/assam",
    "image_url": "https://cdn.example/assam.jpg", "currency": "EUR", "price": 12.95, "sku": "ASM-250",
}  # fmt: skip
# What Shopify does not have, the source leaves out.
PIXEL_POT: Fields = {"product_id": "7010002", "name": "Pot", "url": "/products/pot", "currency": "EUR", "price": 39}
PIXEL_CART: Fields = {
    "products": [PIXEL_TEA, PIXEL_POT], "cart_id": "Z2NwLWV1LTE", "subtotal": 64.9, "currency": "EUR",
}  # fmt: skip
PIXEL_PERSON: Fields = {
    "email": "kim@shop.example", "phone": "+4940123456", "first_name": "Kim", "last_name": "Lee",
    "billing_address": {
        "address1": "Lange Reihe 5", "address2": "", "city": "Hamburg", "country": "DE", "postal_code": "20099",
        "province_code": "HH",
    },
    "shipping_address": {
        "address1": "Lange Reihe 5", "address2": "", "city": "Hamburg", "country": "DE", "postal_code": "20099",
        "province_code": "HH",
    },
}  # fmt: skip
PIXEL_CHECKOUT: Fields = PIXEL_PERSON | {
    "products": [PIXEL_TEA, PIXEL_POT], "subtotal": 59.9, "currency": "EUR", "checkout_id": "5f7028e0", "shipping": 4.9,
    "discount": 5, "coupon": "SPRING, WELCOME", "payment_method": "shopify_payments",
}  # fmt: skip
PIXEL_ORDER: Fields = PIXEL_CHECKOUT | {"order_id": "5811712041029"}

# --- RudderStack's source for Shopify: a pixel in the browser, and webhooks of the shop ---

RUDDER_PIXEL: Fields = {
    "messageId": "sh-77a1", "anonymousId": DEVICE, "timestamp": TIME, "integrations": {"SHOPIFY": True},
    "context": {
        "library": {"name": "RudderStack Shopify Cloud", "eventOrigin": "client", "version": "2.0.0"},
        "page": {"url": "https://shop.example/cart", "path": "/cart", "search": "", "title": "Cart"},
        "traits": {"email": "kim@shop.example"},
    },
}  # fmt: skip
RUDDER_TEA: Fields = {
    "product_id": "8201", "variant": "Darjeeling", "image_url": "https://cdn.example/darjeeling.jpg", "price": 18.4,
    "category": "tea", "url": "/products/darjeeling", "brand": "Leaf & Pot", "sku": "DRJ-100", "name": "100 g",
    "quantity": 2,
}  # fmt: skip
RUDDER_CUP: Fields = {
    "product_id": "8202", "variant": "Cup", "price": 0, "url": "/products/cup", "sku": None, "quantity": 1,
}  # fmt: skip
RUDDER_CART: Fields = {"products": [RUDDER_TEA, RUDDER_CUP], "cart_id": "Z2NwLWV1LTI", "total": 36.8}
RUDDER_CHECKOUT: Fields = {
    "products": [RUDDER_TEA, RUDDER_CUP], "order_id": None, "checkout_id": "84ad7857", "total": 41.7, "currency": "EUR",
    "discount": 0, "shipping": 4.9, "revenue": 36.8, "value": 41.7, "tax": 6.66,
}  # fmt: skip
RUDDER_WEBHOOK: Fields = RUDDER_PIXEL | {
    "messageId": "wh-1", "userId": "7358220173425", "timestamp": "2026-05-04T08:30:00.000Z",
    "context": {
        "library": {"name": "RudderStack Shopify Cloud", "eventOrigin": "server", "version": "2.0.0"},
        "cart_token": "Z2NwLWV1LTI", "checkout_token": "84ad7857", "topic": "orders_create",
        "traits": {"email": "kim@shop.example", "firstName": "Kim", "address": {"city": "Hamburg"}},
    },
}  # fmt: skip
RUDDER_WEBHOOK_ORDER: Fields = {
    "order_id": "5778367414385", "value": 41.7, "tax": 6.66, "currency": "EUR",
    "products": [
        {"product_id": "8201", "sku": "DRJ-100", "title": "Darjeeling - 100 g", "price": 18.4, "brand": "Leaf & Pot",
         "quantity": 2},
        {"product_id": "8202", "title": "Cup", "price": 0, "brand": "Leaf & Pot", "quantity": 1},
    ],
}  # fmt: skip

# --- Segment's former plugin for WordPress: scripts in the page, which know the customer by the e-mail address ---

WORDPRESS: Fields = {
    "messageId": "ajs-1", "anonymousId": DEVICE, "userId": "kim@shop.example", "timestamp": TIME,
    "context": {"library": {"name": "analytics.js", "version": "2.11.1"}},
}  # fmt: skip
WORDPRESS_POT: Fields = {"id": 99, "sku": "POT-1", "name": "Teapot", "price": "28.90", "category": "Pots, Tea"}
# The plugin asks for `ID`, which a product of WooCommerce does not have, so a removal has neither id nor category.
WORDPRESS_REMOVAL: Fields = WORDPRESS_POT | {"id": "", "quantity": 0, "category": ""}
# `price` is that of the line, before a discount; the currency is not sent. 57.80 + 4.90 = 62.70; the revenue is what
# is left of the total without tax and parcel, as a difference of floats.
WORDPRESS_ORDER: Fields = {
    "id": "4711", "total": "62.70", "revenue": 48.57000000000001, "shipping": "4.90", "tax": "9.23",
    "products": [
        WORDPRESS_POT | {"price": "57.8", "quantity": "2"},
        {"id": None, "sku": "CUP", "name": "Cup", "price": "0", "quantity": "1", "category": ""},
    ],
}  # fmt: skip

# --- The plugin Segment for WordPress by in8.io: all that WooCommerce has, but for what PHP takes for false ---

IN8: Fields = {
    "messageId": "0f3c5d2e-9b1a-4c77-8d21-6a0e4b1c2d3e", "userId": 12, "timestamp": "2026-05-04T10:30:00+02:00",
    "context": {"library": {"name": "analytics-php", "version": "1.8.0", "consumer": "Socket"}},
}  # fmt: skip
IN8_POT: Fields = {
    "product_id": 99, "sku": "POT-1", "product_category": 15, "product_category_2": 16, "name": "Teapot",
    "price": "28.90", "regular_price": "32.00", "sale_price": "28.90", "url": "https://shop.example/product/teapot/",
    "image_url": "https://shop.example/teapot.jpg", "slug": "teapot", "status": "publish",
    "catalog_visibility": "visible", "tax_status": "taxable", "stock_quantity": 4, "stock_status": "instock",
    "backorders": "no", "weight": "1.2", "download_limit": -1, "download_expiry": -1, "image_id": "41",
    "reviews_allowed": True, "rating_count": {"5": 2}, "average_rating": "5.00", "review_count": 2,
    "user_id": 12, "user_email": "kim@shop.example",
}  # fmt: skip
# Without an SKU the plugin sends the id in its place.
IN8_TEA: Fields = IN8_POT | {
    "product_id": 120, "sku": 120, "name": "Oolong", "price": "9.5", "variant": {"attribute_pa_size": "50g"},
    "variant_id": 121,
}  # fmt: skip
# 57.80 + 9.50 + 4.90 = 72.20. The plugin puts the name where the SKU belongs, and a product without a price has none.
IN8_ORDER: Fields = {
    "order_id": 4711, "total": 72.2, "revenue": 56.55000000000001, "shipping": 4.9, "tax": 10.75, "discount": "0",
    "cart_tax": "9.97", "currency": "EUR", "shipping_tax": "0.78", "subtotal": 67.3,
    "tax_totals": {"DE-1": {"id": 1, "amount": 10.75, "label": "VAT"}}, "remaining_refund_amount": "72.20",
    "shipping_method": "Parcel", "date_created": {"date": "2026-05-04 10:29:58.000000", "timezone": "Europe/Berlin"},
    "customer_id": 12, "userId": 12, "ip_address": "203.0.113.7", "created_via": "checkout",
    "billing_first_name": "Kim", "billing_email": "kim@shop.example", "payment_method": "bacs",
    "transaction_id": "tx-90", "user_id": 12, "user_email": "kim@shop.example",
    "products": [
        {"quantity": 2, "product_id": 99, "sku": "Teapot", "category": [15, 16], "name": "Teapot", "price": "28.90"},
        {"quantity": 1, "product_id": 121, "sku": "Oolong", "category": [17], "name": "Oolong", "price": "9.5",
         "parent_id": 120, "variations": {"pa_size": "50g"}},
        {"quantity": 1, "product_id": 130, "sku": "Sample", "name": "Sample"},
    ],
}  # fmt: skip
