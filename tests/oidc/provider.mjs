// A certified OpenID provider on loopback, for tests. Reads its settings as JSON from the file that
// is named as its only argument: {tcp_port, client, people, jwks, id_token_s, with_device}.
// Everybody logs in with their name and any password. It says "ready" once it serves.
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const issuer = `http://127.0.0.1:${settings.tcp_port}`;

const provider = new Provider(issuer, {
  clients: [settings.client],
  jwks: settings.jwks,
  cookies: { keys: ['for tests only'] },
  // Our client asks for what it needs in the ID token or at userinfo; both are tried.
  conformIdTokenClaims: settings.at_userinfo === true,
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: settings.with_device !== false },
  },
  pkce: { required: () => true },
  ttl: { IdToken: settings.id_token_s ?? 300 },
  findAccount: (_ctx, name) => ({
    accountId: name,
    claims: () => ({ sub: name, ...(settings.people[name] ?? {}) }),
  }),
});

provider.listen(settings.tcp_port, '127.0.0.1', () => console.log('ready'));
