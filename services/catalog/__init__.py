"""The catalog: merchants, their products and variants, and the snapshots that tell everybody else of them."""
