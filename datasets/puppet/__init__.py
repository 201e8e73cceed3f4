"""The sample actors: portraits of nobody, made from two public-domain pictures, and a puppeteer that moves them."""
