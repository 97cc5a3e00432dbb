"""A model with validated arguments: pandas and scikit-learn travel as a layer.

fal-serverless function serve examples/house_prices.py predict --alias predict
"""

from fal_serverless import cached, isolated


@cached
def model():
    """Trained once per environment."""
    import pandas as pd
    from sklearn.linear_model import LinearRegression

    homes = pd.DataFrame(
        {"age": [1, 10, 20, 40], "rooms": [5, 4, 4, 2], "price": [500, 410, 360, 180]}
    )
    return LinearRegression().fit(homes[["age", "rooms"]].to_numpy(), homes["price"])


@isolated(requirements=["scikit-learn", "pandas"], serve=True, machine_type="M")
def predict(age: float, rooms: int) -> dict:
    """Estimate a price, in thousands, by a home's age in years and its number of rooms."""
    price = model().predict([[age, rooms]])[0]
    return {"price": round(float(price), 1)}
