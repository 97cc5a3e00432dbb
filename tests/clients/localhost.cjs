// Names below localhost are this machine (RFC 6761), also where the system's resolver says nothing.
const dns = require("node:dns");
const lookup = dns.lookup;
dns.lookup = (name, options, callback) =>
  lookup(name.endsWith(".localhost") ? "localhost" : name, options, callback);
