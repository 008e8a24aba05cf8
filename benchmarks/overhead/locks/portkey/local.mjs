// The gateway has no option for its address: keep it on this machine.
import net from 'node:net';
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (first, ...rest) {
  if (typeof first === 'number') return listen.call(this, { port: first, host: '127.0.0.1' }, ...rest.filter((x) => typeof x === 'function'));
  if (first && typeof first === 'object' && 'port' in first) return listen.call(this, { ...first, host: '127.0.0.1' }, ...rest);
  return listen.call(this, first, ...rest);
};
