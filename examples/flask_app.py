"""Any web framework, here Flask: the function runs a server on the exposed port.

fal-serverless function serve examples/flask_app.py flask_app --alias flask --auth public
"""

from fal_serverless import isolated


@isolated(requirements=["flask"], exposed_port=8080)
def flask_app():
    from flask import Flask, jsonify, request

    app = Flask(__name__)

    @app.route("/")
    def call_str():
        return jsonify({"result": request.args.get("str", "")})

    app.run(host="0.0.0.0", port=8080)
