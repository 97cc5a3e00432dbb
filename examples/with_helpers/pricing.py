"""What the function beside it needs."""

from pydantic import BaseModel, Field

PRICES = {"apple": 0.5, "pear": 0.75}


class Order(BaseModel):
    item: str
    count: int = Field(gt=0)

    def total(self) -> float:
        return PRICES.get(self.item, 1.0) * self.count
