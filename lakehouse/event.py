"""The event on the wire: the names of its JSON fields, for whoever writes or reads a message.

``timestamp`` is ISO 8601 with a zone, or epoch milliseconds. ``user_id``, ``event_type`` and ``timestamp``
must be there; ``session_id`` may be null; the others may be left out. Any further field is kept.
"""

from typing import Final

USER_ID: Final = "user_id"
EVENT_TYPE: Final = "event_type"
TIMESTAMP: Final = "timestamp"
SESSION_ID: Final = "session_id"
EVENT_ID: Final = "event_id"
PRODUCT_ID: Final = "product_id"
CATEGORY: Final = "category"
PRICE: Final = "price"
QUANTITY: Final = "quantity"
CURRENCY: Final = "currency"

FIELDS: Final = (
    EVENT_ID,
    USER_ID,
    EVENT_TYPE,
    TIMESTAMP,
    SESSION_ID,
    PRODUCT_ID,
    CATEGORY,
    PRICE,
    QUANTITY,
    CURRENCY,
)

VIEW: Final = "view"
ADD_TO_CART: Final = "add_to_cart"
PURCHASE: Final = "purchase"
